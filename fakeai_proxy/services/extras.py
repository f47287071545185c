"""What vLLM and NIM take besides the vendor's parameters, wherever text is generated: which are
accepted, and answers that are guided to a form."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.generate import grammar
from fakeai_proxy.generate.pattern import Pattern
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.shown_schema import shown_instance
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema, written
from fakeai_proxy.services.answer.grammars import GRAMMARS_EXTRA
from fakeai_proxy.services.answer.task import ANY_OBJECT
from fakeai_proxy.services.wire import Shape, parsed_object

#: Those that mean nothing to a synthesized answer: accepted, except where parameters are strict.
ACCEPTED = frozenset(
    (
        "allowed_token_ids", "bad_words", "data_parallel_rank", "guided_decoding_backend",
        "guided_whitespace_pattern", "include_stop_str_in_output",
        "kv_transfer_params", "length_penalty", "lora_path", "min_p", "no_repeat_ngram_size",
        "repetition_penalty", "request_id", "return_tokens_as_token_ids", "skip_special_tokens",
        "spaces_between_special_tokens", "stop_token_ids", "top_k", "typical_p", "use_beam_search",
        "vllm_xargs",
    )
)  # fmt: skip
#: Those that guide an answer to a form.
GUIDING = frozenset(
    ("guided_choice", "guided_grammar", "guided_json", "guided_regex", "structured_outputs")
)
#: Names of refused parameters that are repeated in the answer, and characters of each.
_NAMES_MAX, _NAME_CHARS_MAX = 8, 100
_CHOICES_MAX = 1024


class StreamOptions(Shape):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    #: vLLM's: with include_usage, every chunk counts the tokens so far.
    continuous_usage_stats: bool | None = None


class Nvext(Shape):
    """NVIDIA's extension object; what else it holds is accepted."""

    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None


class StructuredOutputs(Shape):
    json_: dict[str, Any] | str | None = Field(None, alias="json")
    regex: str | None = None
    choice: list[str] | None = Field(None, min_length=1, max_length=_CHOICES_MAX)
    json_object: bool | None = None
    grammar: str | None = None


class Guided(Shape):
    """A request whose answer may be guided: by the older parameters or by the one for all forms."""

    guided_choice: list[str] | None = Field(None, min_length=1, max_length=_CHOICES_MAX)
    guided_grammar: str | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    structured_outputs: StructuredOutputs | None = None

    def guide(self) -> dict[str, Any]:
        """The one form that is asked for, by its name in `structured_outputs`; empty where any text
        will do. Raises 400 where there are several."""
        given: dict[str, Any] = {
            "json": self.guided_json, "regex": self.guided_regex, "choice": self.guided_choice,
            "grammar": self.guided_grammar,
        }  # fmt: skip
        forms = self.structured_outputs
        if forms is not None:
            given = {
                "json": forms.json_, "regex": forms.regex, "choice": forms.choice,
                "json_object": forms.json_object or None, "grammar": forms.grammar,
                **{k: v for k, v in given.items() if v},
            }  # fmt: skip
        guide = {name: value for name, value in given.items() if value is not None}
        if len(guide) > 1:
            raise errors.bad_request(
                "You can only use one kind of constraints for structured outputs ('json', 'regex', "
                f"'choice' or 'grammar'), but got {', '.join(guide)}."
            )
        return guide


def unknown_arguments(
    request: Shape, strict: bool, accepted: frozenset[str], honoured: Iterable[str]
) -> None:
    """Raises 400 for what nobody knows. `strict` refuses what only vLLM and NIM know, too."""
    unknown = [name for name in request.model_extra or () if name not in accepted or strict]
    if strict:
        unknown += sorted(request.model_fields_set.intersection(honoured))
        options: StreamOptions | None = getattr(request, "stream_options", None)
        if options is not None and options.continuous_usage_stats is not None:
            unknown.append("stream_options.continuous_usage_stats")
    if unknown:
        raise errors.unrecognized_arguments(
            [name[:_NAME_CHARS_MAX] for name in unknown[:_NAMES_MAX]]
        )


def least_tokens(min_tokens: int | None, nvext: Nvext | None) -> int:
    """Tokens before an answer may end."""
    return min_tokens or (nvext.min_tokens if nvext else None) or 0


def is_endless(ignore_eos: bool | None, nvext: Nvext | None) -> bool:
    """Whether an answer goes on until its limit."""
    return bool(ignore_eos or (nvext is not None and nvext.ignore_eos))


def guided_text(guide: dict[str, Any], rng: Random, hints: Hints) -> str:
    """A text of that form. Raises 400 where the form makes no sense."""
    ((name, form),) = guide.items()
    if name == "choice":
        return str(form[rng.randrange(len(form))])
    try:
        if name == "regex":
            return Pattern.load(f"^(?:{form})$").sample(rng)
        if name == "grammar":
            return grammar.sample(grammar.as_lark(form), rng)
        shown = shown_instance(rng, hints) if name == "json_object" else None
        if shown is not None:
            return written(shown)
        schema = ANY_OBJECT if name == "json_object" else _schema(form)
        return written(Schema.load(schema).instance(rng, hints, False))
    except SchemaError as error:
        what = name if name in ("regex", "grammar") else "JSON schema"
        raise errors.bad_request(f"Invalid {what} for structured outputs: {error}") from None
    except grammar.NoGrammars:
        raise errors.extra_missing(GRAMMARS_EXTRA) from None


def _schema(form: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(form, dict):
        return form
    schema = parsed_object(form)
    if schema is None:
        raise _no_schema()
    return schema


def _no_schema() -> ApiError:
    return errors.bad_request("Invalid JSON schema for structured outputs: it is no JSON object.")
