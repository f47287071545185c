"""What the vendor's own tools do within an answer: plausible work, from the prompt alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.sums import computed
from fakeai_proxy.generate.text import sentence
from fakeai_proxy.generate.tokens import EMPTY, Tokens
from fakeai_proxy.services.messages import wire
from fakeai_proxy.services.messages.block import Block

#: Reserved for examples (RFC 2606): nobody owns what is found there.
_SITES = ("example.com", "example.org", "example.net")
_URL = re.compile(r"https?://[^\s\"'<>)\]]+")
_READ_CHARS = 2000
#: Characters of what cannot be read.
_SEALED_BITS = 1024


def run(tool: wire.VendorTool, tokens: Tokens, rng: Random, hints: Hints) -> list[Block]:
    """The use of the tool and its result."""
    return _RUN[tool.kind](tool, tokens, rng, hints)


def _used(tokens: Tokens, name: str, given: dict[str, Any]) -> Block:
    passage = tokens.passage(orjson.dumps(given).decode())
    return Block("server_tool_use", passage, name, tokens.count(name))


def _result(kind: str, content: object, citation: dict[str, Any] | None = None) -> Block:
    return Block("result", EMPTY, kind, result=content, found=citation)


def _web_search(tool: wire.VendorTool, tokens: Tokens, rng: Random, hints: Hints) -> list[Block]:
    query = hints.subject or "overview"
    slug = "-".join(re.findall(r"\w+", query.lower())) or "overview"
    sites = [site for site in tool.allowed_domains or _SITES if site not in tool.blocked]
    title = query.capitalize()
    found = [
        {"type": "web_search_result", "title": title, "url": f"https://{site}/{slug}",
         "encrypted_content": _sealed(rng), "page_age": None}
        for site in sites[: len(_SITES)]
    ]  # fmt: skip
    citation = None
    if found:
        citation = {
            "type": "web_search_result_location", "url": found[0]["url"], "title": title,
            "encrypted_index": _sealed(rng)[:64], "cited_text": sentence(rng, hints.subject),
        }  # fmt: skip
    return [
        _used(tokens, "web_search", {"query": query}),
        _result("web_search_tool_result", found, citation),
    ]


def _web_fetch(tool: wire.VendorTool, tokens: Tokens, rng: Random, hints: Hints) -> list[Block]:
    named = _URL.search(hints.prompt[-_READ_CHARS:])
    url = named[0].rstrip(".,;:!?") if named else f"https://{_SITES[0]}/"
    text = " ".join([sentence(rng, hints.subject) for _ in range(3)])
    page = {
        "type": "document", "title": (hints.subject or "Overview").capitalize(), "citations": None,
        "source": {"type": "text", "media_type": "text/plain", "data": text},
    }  # fmt: skip
    content = {"type": "web_fetch_result", "url": url, "retrieved_at": None, "content": page}
    return [_used(tokens, "web_fetch", {"url": url}), _result("web_fetch_tool_result", content)]


def _code_execution(
    tool: wire.VendorTool, tokens: Tokens, rng: Random, hints: Hints
) -> list[Block]:
    code, stdout = computed(hints.prompt)
    ran = {"stdout": stdout, "stderr": "", "return_code": 0, "content": []}
    if tool.type.endswith("20250522"):
        return [
            _used(tokens, "code_execution", {"code": code}),
            _result("code_execution_tool_result", {"type": "code_execution_result", **ran}),
        ]
    command = f"python3 -c '{code}'"
    return [
        _used(tokens, "bash_code_execution", {"command": command}),
        _result("bash_code_execution_tool_result", {"type": "bash_code_execution_result", **ran}),
    ]


def _sealed(rng: Random) -> str:
    """Looks like what is encrypted."""
    return "E" + "".join([f"{rng.getrandbits(64):016x}" for _ in range(_SEALED_BITS // 64)])


_RUN: dict[str, Callable[[wire.VendorTool, Tokens, Random, Hints], list[Block]]] = {
    "web_search": _web_search,
    "web_fetch": _web_fetch,
    "code_execution": _code_execution,
}
