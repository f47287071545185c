"""What a request asks for, read from its path and its JSON: how many tokens, images, answers.

Before the answer is known nobody counts tokens: vendors divide characters by four, and so do we.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

#: platform.openai.com/docs/guides/rate-limits: an estimate "based on the character count".
CHARACTERS_PER_TOKEN = 4
#: An image in a prompt, at 1024 x 1024 and high detail: 85 + 4 x 170 (OpenAI's vision guide).
IMAGE_TOKENS = 765
#: Longer names are cut; they are nobody's.
MODEL_CHARS_MAX = 200

_ENDPOINT = re.compile(
    r"(?:.*/deployments/(?P<deployment>[^/]+))?.*?/(?P<operation>chat/completions|completions"
    r"|responses|embeddings|images/(?:generations|edits|variations)|moderations|ranking|rerank"
    r"|threads/[^/]+/runs/[^/]+/turns|realtime|audio/(?:speech|transcriptions|translations)|(?<=/v1/)(?:messages|complete))/?"
)
_GOOGLE = re.compile(r"/v1(?:beta)?/models/(?P<deployment>[^/:]+):(?P<operation>\w*[cC]ontents?)")
#: A part of a multipart form.
_MODEL_PART = re.compile(rb'name="model"\r\n\r\n([^\r\n]+)')


class Endpoint(NamedTuple):
    """A path that is limited. `model` is the one in the path, "" where the body names it. `counts`
    is what there is to count: text, a prompt alone, images, or nothing but the request."""

    operation: str
    model: str = ""
    counts: str = "text"


@lru_cache(maxsize=4096)
def endpoint_of(path: str) -> Endpoint | None:
    """None for what is free: lists, files, jobs, pages of ours."""
    match = _ENDPOINT.fullmatch(path) or _GOOGLE.fullmatch(path)
    if match is None:
        return None
    operation = match["operation"]
    counts = _COUNTS.get(operation) or _COUNTS.get(operation.partition("/")[0], "text")
    return Endpoint(operation, match["deployment"] or "", counts)


#: By operation, or by the folder it is in.
_COUNTS = {"images": "images", "audio": "requests", "embeddings": "prompt", "moderations": "prompt",
           "ranking": "prompt", "rerank": "prompt", "embedContent": "prompt",
           "batchEmbedContents": "prompt"}  # fmt: skip


@dataclass(slots=True)
class Demand:
    """Tokens are estimates; `output_tokens` those of all answers, None where none were named."""

    operation: str
    model: str
    input_tokens: int = 0
    output_tokens: int | None = None
    answers: int = 1
    images: int = 0
    #: What there was too little of, and how many seconds until there is enough.
    refused: tuple[str, float] | None = None


def demand_of(endpoint: Endpoint, body: dict[str, Any]) -> Demand:
    """Never fails: what is wrong with a body is for others to say."""
    operation, model, counts = endpoint
    if not model:
        named = body.get("model")
        model = named[:MODEL_CHARS_MAX] if isinstance(named, str) else ""
    answers = 1
    if "n" in body or "best_of" in body:
        answers = _count(body.get("best_of")) or _count(body.get("n")) or 1
    if counts == "images":
        return Demand(operation, model, images=answers)
    if counts == "requests":
        return Demand(operation, model)
    read = _input_tokens(body)
    if counts == "prompt":
        return Demand(operation, model, read, 0, answers)
    for name in _OUTPUT_LIMITS:
        if name in body:
            tokens = _count(body[name])
            if tokens is not None:
                return Demand(operation, model, read, tokens * answers, answers)
    return Demand(operation, model, read, None, answers)


#: What the vendors call the most that an answer may have.
_OUTPUT_LIMITS = (
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
)


def form_demand(endpoint: Endpoint, form: bytes | None) -> Demand:
    """Of a multipart form, as far as it is here."""
    match = _MODEL_PART.search(form, 0, 1 << 16) if form else None
    model = endpoint.model or (match[1].decode("utf-8", "replace") if match else "")
    images = int(endpoint.counts == "images")
    return Demand(endpoint.operation, model[:MODEL_CHARS_MAX], images=images)


#: Where prompts are, in the bodies of all vendors.
_OTHER_PROMPTS = frozenset(("input", "prompt", "instructions", "system", "contents", "query",
                            "passages", "documents"))  # fmt: skip
_PROMPTS = _OTHER_PROMPTS | {"messages"}


def _count(value: object) -> int | None:
    """A number of things that somebody could mean."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10**9:
        return value
    return None


def _input_tokens(body: dict[str, Any]) -> int:
    characters = tokens = 0
    messages = body.get("messages")
    if isinstance(messages, list):  # the usual ones, without a generator
        for message in messages:
            content = message.get("content") if type(message) is dict else None
            if type(content) is str:
                characters += len(content)
            else:
                for text, count in _pieces(message):
                    characters += text
                    tokens += count
    if messages is None or not _OTHER_PROMPTS.isdisjoint(body):
        for name in _OTHER_PROMPTS if isinstance(messages, list) else _PROMPTS:
            if name not in body:
                continue
            for text, count in _pieces(body[name]):
                characters += text
                tokens += count
    if body.get("tools"):
        characters += len(orjson.dumps(body["tools"]))
    return tokens + -(-characters // CHARACTERS_PER_TOKEN)


#: Keys whose text is in a prompt; all other text in it is names and addresses.
_TEXTS = frozenset(("content", "text", "parts", "input", "arguments", "tool_calls", "function",
                    "output", "summary", "source"))  # fmt: skip
_IMAGES = frozenset(("image_url", "input_image", "image"))


def _pieces(value: object) -> Iterator[tuple[int, int]]:
    """(characters, tokens) of all that a prompt holds. Walks without recursion: a body may be as
    deep as it likes."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield len(one), 0
        elif isinstance(one, dict):
            if one.get("type") in _IMAGES:
                yield 0, IMAGE_TOKENS
            else:
                left.extend(inner for key, inner in one.items() if key in _TEXTS)
        elif isinstance(one, list):
            if one and isinstance(one[0], int):
                yield 0, len(one)  # token ids
            else:
                left.extend(one)
