"""What a conversation costs: its tools, system prompt and messages as token ids, and where the client
wants them cached.

The vendor's tokenizer is not public: the nearest vocabulary counts. Sources for the rest, all on
platform.claude.com: tool use (346 and 313 tokens for the system prompt of tools), vision (width x height
/ 750, at most 1,568 a side), PDF support (1,500 to 3,000 tokens a page).
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from dataclasses import dataclass

import orjson

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.generate.transcript import Transcript
from fakeai_proxy.services.messages import wire
from fakeai_proxy.services.messages.pictures import size_of
from fakeai_proxy.services.messages.words import invalid

#: The vendor's instructions for tools, where the model may and where it must call one.
_TOOLS_TOKENS, _FORCED_TOOLS_TOKENS = 346, 313
_PIXELS_PER_TOKEN, _SIDE_MAX, _IMAGE_TOKENS_MAX = 750, 1568, 1600
_PAGE_TOKENS, _PAGES_MAX = 2000, 600
_PAGE = re.compile(rb"/Type\s*/Page\b")
_BREAKPOINTS_MAX = 4
#: Of a file that only its address tells of.
_FILE_TOKENS = 2000


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """The prompt up to `tokens` is to be cached, for an hour or for five minutes."""

    tokens: int
    hour: bool


class Prompt(Transcript):
    def __init__(self, tokens: Tokens, request: wire.Asking) -> None:
        super().__init__(tokens)
        self.breakpoints: list[Breakpoint] = []
        self._offered(request)
        system = wire.blocks_of(request.system)
        if system:
            self.open("system")
            for k, block in enumerate(system):
                self._block(f"system.{k}", block)
            self.close()
        schema = request.schema_asked
        if schema is not None:
            self.text(orjson.dumps(schema, default=str).decode())
        last = len(request.messages) - 1
        for k, message in enumerate(request.messages):
            self.open(message.role)
            for j, block in enumerate(message.blocks):
                self._block(f"messages.{k}.content.{j}", block)
            if k < last or message.role != "assistant":
                self.close()
        if request.messages[-1].role != "assistant":
            self.open("assistant")
        if request.cache_control is not None:
            self._cached(request.cache_control)
        if len(self.breakpoints) > _BREAKPOINTS_MAX:
            raise errors.bad_request(
                f"A maximum of {_BREAKPOINTS_MAX} blocks with cache_control may be provided. Found "
                f"{len(self.breakpoints)}."
            )

    def _offered(self, request: wire.Asking) -> None:
        if not request.tools:
            return
        choice = request.tool_choice
        if choice is None or choice.type != "none":
            forced = choice is not None and choice.type in ("any", "tool")
            self.medium("tools", _FORCED_TOOLS_TOKENS if forced else _TOOLS_TOKENS)
        for tool in request.tools:
            shown = tool.model_dump(exclude_none=True, exclude={"cache_control"})
            self.text(orjson.dumps(shown, default=str).decode())
            self._cached(tool.cache_control)

    def _cached(self, control: wire.CacheControl | None) -> None:
        if control is not None:
            self.breakpoints.append(Breakpoint(len(self.ids), control.ttl == "1h"))

    def _block(self, path: str, block: wire.Content) -> None:
        if isinstance(block, wire.TextBlock):
            self.text(block.text)
        elif isinstance(block, wire.ToolUseBlock):
            self.text(block.name)
            self.text(orjson.dumps(block.input).decode())
        elif isinstance(block, wire.ToolResultBlock):
            for j, inner in enumerate(wire.blocks_of(block.content)):
                self._block(f"{path}.tool_result.content.{j}", inner)
        elif isinstance(block, wire.ImageBlock):
            self._image(path, block.source)
        elif isinstance(block, wire.DocumentBlock):
            self._document(path, block)
        elif isinstance(block, wire.SearchResultBlock):
            self.text(block.title)
            for inner in block.content:
                self.text(inner.text)
        elif isinstance(block, wire.ServerBlock):
            self.text(orjson.dumps(block.model_extra, default=str).decode())
        elif isinstance(block, wire.ToolReferenceBlock):
            self.text(block.tool_name)
        # Thoughts of earlier turns are left out of the prompt.
        self._cached(getattr(block, "cache_control", None))

    def _image(
        self, path: str, source: wire.Base64Image | wire.UrlSource | wire.FileSource
    ) -> None:
        if isinstance(source, wire.Base64Image):
            size = size_of(_bytes(f"{path}.image.source.base64.data", source.data))
            if size is None:
                raise invalid(f"{path}.image.source.base64", "Could not process image")
            self.medium(source.data, _image_tokens(*size))
        else:
            where = source.url if isinstance(source, wire.UrlSource) else source.file_id
            self.medium(where, _IMAGE_TOKENS_MAX)

    def _document(self, path: str, block: wire.DocumentBlock) -> None:
        source = block.source
        for text in (block.title, block.context):
            if text:
                self.text(text)
        if isinstance(source, wire.PlainText):
            self.text(source.data)
        elif isinstance(source, wire.ContentSource):
            for j, inner in enumerate(wire.blocks_of(source.content)):
                self._block(f"{path}.document.source.content.{j}", inner)
        elif isinstance(source, wire.Base64Pdf):
            data = _bytes(f"{path}.document.source.base64.data", source.data)
            if not data.startswith(b"%PDF-"):
                raise invalid(
                    f"{path}.document.source.base64.data", "The PDF specified was not valid."
                )
            pages = min(max(len(_PAGE.findall(data)), 1), _PAGES_MAX)
            self.medium(source.data, pages * _PAGE_TOKENS)
        else:
            where = source.url if isinstance(source, wire.UrlSource) else source.file_id
            self.medium(where, _FILE_TOKENS)


def _bytes(path: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        raise invalid(path, "Input should be valid base64-encoded data") from None


def _image_tokens(width: int, height: int) -> int:
    """Larger pictures are scaled down first."""
    shrink = max(1.0, max(width, height) / _SIDE_MAX)
    tokens = (width / shrink) * (height / shrink) / _PIXELS_PER_TOKEN
    return max(1, min(round(tokens), _IMAGE_TOKENS_MAX))
