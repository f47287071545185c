"""What the vendor's own tools do within an answer: plausible work, from the prompt and from files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.sums import computed
from fakeai_proxy.generate.text import sentence
from fakeai_proxy.generate.tokens import EMPTY, Tokens
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import errands, tools, wire
from fakeai_proxy.services.responses.file_search import file_search
from fakeai_proxy.services.responses.output import Work
from fakeai_proxy.services.responses.picture import Wish, pictures
from fakeai_proxy.services.responses.tool_choice import mcp_tools, needs_approval

_SITES = ("example.com", "example.org", "example.net")
_QUERY_SCHEMA = {
    "type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"],
    "additionalProperties": False,
}  # fmt: skip


@dataclass(slots=True)
class Workshop:
    """Does the work for one answer."""

    call: Call
    request: wire.ResponseRequest
    hints: Hints
    tokens: Tokens
    rng: Random

    def works(self, used: Sequence[tools.Tool], items: Sequence[Item]) -> list[Work]:
        """What is done first, with the lists of what servers offer and what a client approved."""
        works = self._lists(items)
        works += self._approved(items)
        for tool in used:
            if isinstance(tool, tools.Shell):
                works += errands.shell(tool, self.tokens, self.rng, self.hints)
            elif isinstance(tool, tools.OnClient):
                works.append(self._errand(tool, items))
            else:
                works.append(_DO[type(tool)](self, tool))
        return works

    def _errand(self, tool: tools.OnClient, items: Sequence[Item]) -> Work:
        if isinstance(tool, tools.LocalShell):
            return errands.local_shell(self.tokens, self.rng)
        if isinstance(tool, tools.ApplyPatch):
            return errands.apply_patch(self.tokens, self.rng, self.hints)
        return errands.computer(tool, self.tokens, self.rng, items)

    def _lists(self, items: Sequence[Item]) -> list[Work]:
        """A server's tools are asked for once in a conversation."""
        listed = [item.get("server_label") for item in items if item["type"] == "mcp_list_tools"]
        works = []
        for tool in self.request.tools or ():
            if isinstance(tool, tools.Mcp) and tool.server_label not in listed:
                listed.append(tool.server_label)
                named = [
                    {"name": name, "description": f"{name} on {tool.server_label}",
                     "input_schema": _QUERY_SCHEMA, "annotations": None}
                    for name in mcp_tools(tool)
                ]  # fmt: skip
                works.append(
                    Work(
                        "mcp_list_tools", "mcpl", EMPTY,
                        {"server_label": tool.server_label, "tools": named, "error": None},
                        {"server_label": tool.server_label, "tools": []}, has_status=False,
                    )
                )  # fmt: skip
        return works

    def _approved(self, items: Sequence[Item]) -> list[Work]:
        """Calls whose approval came last."""
        asked = {item.get("id"): item for item in items if item["type"] == "mcp_approval_request"}
        works = []
        for item in reversed(items):
            if item["type"] != "mcp_approval_response":
                break
            request = asked.get(item["approval_request_id"])
            if item["approve"] and request is not None:
                works.append(
                    self._mcp_call(
                        str(request.get("server_label")), str(request.get("name")),
                        str(request.get("arguments")), item["approval_request_id"],
                    )
                )  # fmt: skip
        return works[::-1]

    def _query(self) -> str:
        return self.hints.subject or "overview"

    def _web_search(self, tool: tools.Tool) -> Work:
        query = self._query()
        slug = "-".join(re.findall(r"\w+", query.lower())) or "overview"
        action: dict[str, Any] = {"type": "search", "query": query, "queries": [query]}
        urls = [f"https://{site}/{slug}" for site in _SITES]
        if self.request.includes("web_search_call.action.sources"):
            action["sources"] = [{"type": "url", "url": url} for url in urls]
        cited = {
            "type": "url_citation", "title": query.capitalize(), "url": self.rng.choice(urls),
        }  # fmt: skip
        return Work(
            "web_search_call", "ws", self.tokens.passage(query), {"action": action},
            {"action": {"type": "search", "query": query}}, citation=cited,
        )  # fmt: skip

    def _file_search(self, tool: tools.Tool) -> Work:
        assert isinstance(tool, tools.FileSearch)
        return file_search(self.call, self.request, tool, self.hints, self.tokens)

    def _code_interpreter(self, tool: tools.Tool) -> Work:
        assert isinstance(tool, tools.CodeInterpreter)
        code, logs = computed(self.hints.prompt)
        container = tool.container
        named = (
            container if isinstance(container, str) else f"cntr_{self.rng.getrandbits(160):040x}"
        )
        shown = self.request.includes("code_interpreter_call.outputs")
        outputs = [{"type": "logs", "logs": logs}] if shown else None
        return Work(
            "code_interpreter_call", "ci", self.tokens.passage(code),
            {"code": code, "container_id": named, "outputs": outputs},
            {"code": "", "container_id": named, "outputs": None},
        )  # fmt: skip

    def _image(self, tool: tools.Tool) -> Work:
        assert isinstance(tool, tools.ImageGeneration)
        prompt = " ".join(self.hints.prompt.split())[-400:] or "A picture."
        size = tool.size if tool.size not in (None, "auto") else "1024x1024"
        width, _, height = str(size).partition("x")
        form = tool.output_format or "png"
        drawn = pictures(
            Wish(
                prompt, int(width), int(height), self.rng.getrandbits(32),
                tool.background == "transparent", tool.partial_images or 0, form,
                100 if tool.output_compression is None else tool.output_compression,
            )
        )  # fmt: skip
        fields = {
            "result": drawn.done, "revised_prompt": prompt,
            "size": size, "output_format": form, "action": "generate",
            "quality": tool.quality if tool.quality not in (None, "auto") else "high",
            "background": tool.background if tool.background not in (None, "auto") else "opaque",
        }  # fmt: skip
        return Work(
            "image_generation_call", "ig", self.tokens.passage(prompt), fields,
            {"result": None}, partial_images=drawn.before,
        )  # fmt: skip

    def _mcp(self, tool: tools.Tool) -> Work:
        assert isinstance(tool, tools.Mcp)
        choice = self.request.tool_choice
        named = choice.name if isinstance(choice, tools.NamedMcp) else None
        name = named or mcp_tools(tool)[0]
        arguments = orjson.dumps({"query": self._query()}).decode()
        if not needs_approval(tool, name):
            return self._mcp_call(tool.server_label, name, arguments, None)
        fields = {"server_label": tool.server_label, "name": name, "arguments": arguments}
        passage = self.tokens.passage(arguments)
        return Work(
            "mcp_approval_request", "mcpr", passage, fields, fields, has_status=False, waits=True
        )

    def _mcp_call(self, label: str, name: str, arguments: str, approval: str | None) -> Work:
        fields = {
            "server_label": label, "name": name, "arguments": arguments,
            "output": sentence(self.rng, self.hints.subject), "error": None,
            "approval_request_id": approval,
        }  # fmt: skip
        opening = {**fields, "arguments": "", "output": None}
        return Work("mcp_call", "mcp", self.tokens.passage(arguments), fields, opening)


_DO: dict[type, Callable[[Workshop, Any], Work]] = {
    tools.WebSearch: Workshop._web_search,
    tools.FileSearch: Workshop._file_search,
    tools.CodeInterpreter: Workshop._code_interpreter,
    tools.ImageGeneration: Workshop._image,
    tools.Mcp: Workshop._mcp,
}
