"""Byte-pair encoding: text to token ids and back, by the vocabularies of the models.

A `Span` is text as its tokens: the ids, the text of each, and the same text escaped for a JSON string.
Special-token text is plain text here, and nothing raises whatever the string holds.
"""

from __future__ import annotations

import codecs
import threading
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import orjson

#: Texts shorter than this encode faster than they are looked up.
_CACHED_CHARS_MIN = 512
#: Token ids kept for texts that come again (system prompts, growing conversations); 4 bytes each.
_CACHED_TOKENS_MAX = 1 << 20
#: Pieces remembered per vocabulary.
_PIECES_MAX = 1 << 16

VOCABULARIES = ("o200k_base", "cl100k_base", "o200k_harmony", "llama3", "qwen3")

#: What a server of one's own puts before a text, for models that were trained with it.
BEGINNINGS = {"llama3": 128000}


@dataclass(frozen=True, slots=True)
class Span:
    """Text as its tokens. `pieces` concatenate to the text: a character that is spread over several
    tokens belongs to the last of them. `escaped` are the pieces inside a JSON string."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    escaped: tuple[bytes, ...]
    whole: bytes

    def first(self, count: int) -> Span:
        escaped = self.escaped[:count]
        return Span(self.ids[:count], self.pieces[:count], escaped, b"".join(escaped))


@dataclass(frozen=True)
class Passage:
    """Spans in a row whose tokens, put together, are the encoding of the whole text."""

    spans: Sequence[Span]
    tokens: int

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Passage:
        return cls(spans, sum([len(span.ids) for span in spans]))

    @cached_property
    def ids(self) -> list[int]:
        return [token for span in self.spans for token in span.ids]

    @cached_property
    def pieces(self) -> list[str]:
        return [piece for span in self.spans for piece in span.pieces]

    @cached_property
    def escaped(self) -> list[bytes]:
        return [piece for span in self.spans for piece in span.escaped]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def json(self) -> bytes:
        """The text inside a JSON string, without the quotation marks."""
        return b"".join([span.whole for span in self.spans])

    def first(self, count: int) -> Passage:
        """Its first `count` tokens."""
        if count >= self.tokens:
            return self
        spans: list[Span] = []
        left = max(count, 0)
        for span in self.spans:
            if left <= 0:
                break
            spans.append(span if len(span.ids) <= left else span.first(left))
            left -= len(span.ids)
        return Passage(spans, max(count, 0))


EMPTY = Passage((), 0)

_loading = threading.Lock()
_loaded: dict[str, Tokens] = {}


class Tokens:
    """One vocabulary. Use `load`; safe to share between threads."""

    def __init__(self, name: str) -> None:
        import quicktok  # brings numpy, which a start should not wait for

        self.name = name
        self._bpe = quicktok.get_encoding(name)
        self._pieces: dict[int, tuple[str, bytes] | None] = {}
        self._texts: OrderedDict[str, array[int]] = OrderedDict()
        self._texts_tokens = 0
        self._lock = threading.Lock()

    @staticmethod
    def read() -> Collection[str]:
        """Names of the vocabularies that are there."""
        return _loaded

    @staticmethod
    def load(name: str) -> Tokens:
        """The vocabulary of that name, read on first use (0.2 to 0.4 s). Raises KeyError."""
        found = _loaded.get(name)
        if found is None:
            if name not in VOCABULARIES:
                raise KeyError(name)
            with _loading:
                found = _loaded.get(name) or Tokens(name)
                _loaded[name] = found
        return found

    def encode(self, text: str) -> Sequence[int]:
        if len(text) < _CACHED_CHARS_MIN:
            return self._encode(text)
        with self._lock:
            known = self._texts.get(text)
            if known is not None:
                self._texts.move_to_end(text)
                return known
        ids = array("I", self._encode(text))
        with self._lock:
            if text not in self._texts and len(ids) <= _CACHED_TOKENS_MAX // 4:
                self._texts[text] = ids
                self._texts_tokens += len(ids)
            while self._texts_tokens > _CACHED_TOKENS_MAX:
                self._texts_tokens -= len(self._texts.popitem(last=False)[1])
        return ids

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def decode(self, ids: Iterable[int]) -> str:
        """Raises KeyError where an id is not in the vocabulary."""
        return bytes(self._bpe.decode_bytes(list(ids))).decode("utf-8", "replace")

    def knows(self, token: int) -> bool:
        try:
            self._bpe.decode_single_token_bytes(token)
        except (KeyError, TypeError):  # not there, or no 32-bit number
            return False
        return True

    def bytes_of(self, token: int) -> bytes:
        return bytes(self._bpe.decode_single_token_bytes(token))

    def span(self, text: str) -> Span:
        return self.span_of(self._encode(text))

    def passage(self, text: str) -> Passage:
        return Passage.of((self.span(text),))

    def span_of(self, ids: Sequence[int]) -> Span:
        """The span of these tokens; an unfinished character at the end is left out of the text."""
        known = [self._piece(token) for token in ids]
        pairs = [pair for pair in known if pair is not None]
        if len(pairs) != len(known):
            pairs = self._spread(ids)
        escaped = tuple([pair[1] for pair in pairs])
        return Span(tuple(ids), tuple([pair[0] for pair in pairs]), escaped, b"".join(escaped))

    def _encode(self, text: str) -> list[int]:
        try:
            ids: list[int] = self._bpe.encode_ordinary(text)
        except TypeError:  # lone surrogates
            whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            ids = self._bpe.encode_ordinary(whole)
        return ids

    def _piece(self, token: int) -> tuple[str, bytes] | None:
        """The text of a token and its JSON form; None where it holds parts of characters."""
        try:
            return self._pieces[token]
        except KeyError:
            pass
        pair: tuple[str, bytes] | None
        try:
            pair = _pair(self.bytes_of(token).decode("utf-8"))
        except UnicodeDecodeError:
            pair = None
        if len(self._pieces) >= _PIECES_MAX:
            self._pieces.clear()
        self._pieces[token] = pair
        return pair

    def _spread(self, ids: Sequence[int]) -> list[tuple[str, bytes]]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return [_pair(decoder.decode(self.bytes_of(token))) for token in ids]


def _pair(text: str) -> tuple[str, bytes]:
    return text, orjson.dumps(text)[1:-1]
