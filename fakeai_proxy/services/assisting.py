"""What assistants and the runs that use them have in common: tools and their resources, the form of an
answer, the header that both ask for. No room imports another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy import errors
from fakeai_proxy.services.answer.schema import check_schema
from fakeai_proxy.services.answer.tool import NO_PARAMETERS
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.vector_stores.making import made
from fakeai_proxy.services.vector_stores.searching import require
from fakeai_proxy.services.vector_stores.wire import STORE_FILES_MAX, Chunking, CreateStore
from fakeai_proxy.services.wire import Metadata, Shape, json_kind
from fakeai_proxy.store import Row

#: platform.openai.com/docs/api-reference/assistants: tools, files of the code interpreter, characters
#: of instructions and of a text.
TOOLS_MAX, CODE_FILES_MAX, TEXT_CHARS_MAX = 128, 20, 256_000
_VERSION = "assistants=v2"


# --- the version of the API ------------------------------------------------------------------------


def enter(call: Call) -> None:
    """Raises 400 where the header is not there. Azure has versions of its own."""
    if call.vendor == "azure":
        return
    said = call.header(b"openai-beta")
    if _VERSION in [one.strip() for one in said.split(",")]:
        return
    raise errors.other_beta(said) if "assistants" in said else errors.no_beta()


def entered(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The same, which look at the header first."""
    return tuple(replace(operation, enter=enter) for operation in operations)


# --- shapes ------------------------------------------------------------------------------------------


class CodeInterpreter(Shape):
    type: Literal["code_interpreter"]


class Ranking(Shape):
    ranker: Literal["auto", "default_2024_08_21"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)]


class SearchOptions(Shape):
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: Ranking | None = None


class FileSearch(Shape):
    type: Literal["file_search"]
    file_search: SearchOptions | None = None


class Function(Shape):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Shape):
    type: Literal["function"]
    function: Function


Tool = CodeInterpreter | FileSearch | FunctionTool
Tools = Annotated[list[Annotated[Tool, Field(discriminator="type")]], Field(max_length=TOOLS_MAX)]


class BegunStore(Shape):
    """A vector store to be made."""

    file_ids: Annotated[list[str], Field(max_length=STORE_FILES_MAX)] | None = None
    chunking_strategy: Chunking | None = None
    metadata: Metadata | None = None


class CodeResources(Shape):
    file_ids: Annotated[list[str], Field(max_length=CODE_FILES_MAX)] | None = None


class SearchResources(Shape):
    vector_store_ids: Annotated[list[str], Field(max_length=1)] | None = None
    vector_stores: Annotated[list[BegunStore], Field(max_length=1)] | None = None


class ToolResources(Shape):
    code_interpreter: CodeResources | None = None
    file_search: SearchResources | None = None


class TextFormat(Shape):
    type: Literal["text"]


class ObjectFormat(Shape):
    type: Literal["json_object"]


class JsonSchema(Shape):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    Annotated[Literal["auto"], Tag("string")]
    | Annotated[
        Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")],
        Tag("object"),
    ],
    Discriminator(json_kind),
]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]


# --- rules -------------------------------------------------------------------------------------------


def check_extra(asked: Shape) -> None:
    """Raises 400 for a parameter that nobody knows."""
    for name in asked.model_extra or ():
        raise errors.unknown_parameter(name[:100])


def check_tools(tools: Sequence[Tool] | None) -> None:
    """Raises 400 that names the tool."""
    names: set[str] = set()
    for k, tool in enumerate(tools or ()):
        name = tool.function.name if isinstance(tool, FunctionTool) else tool.type
        if name in names:
            raise errors.names_twice(f"tools[{k}]", name)
        names.add(name)
        if isinstance(tool, FunctionTool):
            check_schema(
                tool.function.parameters or NO_PARAMETERS, bool(tool.function.strict),
                f"function '{name}'", f"tools[{k}].function.parameters",
                "invalid_function_parameters",
            )  # fmt: skip


def check_format(form: object) -> None:
    """Raises 400."""
    if isinstance(form, SchemaFormat):
        declared = form.json_schema
        check_schema(
            declared.schema_ if declared.schema_ is not None else {"type": "object"},
            bool(declared.strict) and declared.schema_ is not None,
            f"response_format '{declared.name}'", "response_format", "invalid_json_schema",
        )  # fmt: skip


def check_effort(effort: str | None, card: ModelCard) -> None:
    """Raises 400."""
    if effort is None or not card.is_openai:
        return
    if not card.reasoning:
        raise errors.not_with_this_model("reasoning_effort")
    if card.efforts and effort not in card.efforts:
        raise errors.not_this_value("reasoning_effort", effort, card.id, card.efforts)


def shown(value: Any) -> Any:
    """A part of a request as it is kept and given back."""
    if isinstance(value, Shape):
        return value.model_dump(by_alias=True, exclude_unset=True)
    return [shown(one) for one in value] if isinstance(value, list) else value


def shown_tools(tools: Sequence[Tool] | None) -> list[dict[str, Any]]:
    """File search without options gets those that it has then."""
    told = []
    for tool in tools or ():
        one = shown(tool)
        if isinstance(tool, FileSearch):
            options = one.get("file_search") or {}
            ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
            options["ranking_options"] = {**ranking, **(options.get("ranking_options") or {})}
            one["file_search"] = options
        elif isinstance(tool, FunctionTool):
            one["function"].setdefault("strict", False)
        told.append(one)
    return told


async def shown_resources(
    call: Call, asked: ToolResources | None, path: str = "tool_resources"
) -> dict[str, Any]:
    """What tools may use, as it is kept. Raises 404 for what is not there."""
    kept: dict[str, Any] = {}
    if asked is None:
        return kept
    if asked.code_interpreter is not None:
        ids = asked.code_interpreter.file_ids or []
        await check_files(call, ids, f"{path}.code_interpreter.file_ids")
        kept["code_interpreter"] = {"file_ids": ids}
    if asked.file_search is not None:
        ids = await _stores(call, asked.file_search, f"{path}.file_search")
        kept["file_search"] = {"vector_store_ids": ids}
    return kept


async def _stores(call: Call, asked: SearchResources, path: str) -> list[str]:
    """The vector stores that are named, and the one that is made. Raises 400 and 404."""
    ids = asked.vector_store_ids or []
    begun = asked.vector_stores or []
    if ids and begun:
        raise errors.not_together(f"{path}.vector_stores", f"{path}.vector_store_ids")
    await require(call.store, call.project, ids, call.wall())
    for k, one in enumerate(begun):
        new = CreateStore(
            file_ids=one.file_ids, chunking_strategy=one.chunking_strategy, metadata=one.metadata
        )
        ids = [(await made(call, new, f"{path}.vector_stores[{k}].")).key.id]
    return ids


async def check_files(call: Call, file_ids: Sequence[str], param: str) -> None:
    """Raises 404 for one that is not there."""
    for file_id in file_ids:
        if await call.store.get(FILES.key(call, file_id)) is None:
            raise errors.no_such_file(file_id, param)


# --- assistants --------------------------------------------------------------------------------------


ASSISTANTS = Resource(
    kind="assistant",
    object="assistant",
    prefix="asst_",
    path="/assistants",
    param="assistant_id",
    missing=errors.no_such_assistant,
)


def visible(row: Row, now: float) -> Mapping[str, Any]:
    """A document without what is only ours: members whose names begin with an underscore."""
    return {name: value for name, value in row.document.items() if not name.startswith("_")}
