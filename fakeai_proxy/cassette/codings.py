"""Content codings undone piece by piece, with bounded output whatever the input claims."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, cast

import brotli
import zstandard

from fakeai_proxy.exchange import Headers

_OUTPUT_BYTES = 1 << 20


class Undecodable(ValueError):  # noqa: N818 - a property of the bytes
    """The bytes are not what their content coding says."""


def codings(headers: Headers) -> tuple[str, ...]:
    """The codings applied to a body, in order; identity left out."""
    names = [
        token.strip().lower().decode("latin-1")
        for name, value in headers
        if name.lower() == b"content-encoding"
        for token in value.split(b",")
    ]
    return tuple(name.removeprefix("x-") for name in names if name not in ("", "identity"))


def decoded(pieces: Iterable[bytes], applied: tuple[str, ...]) -> Iterator[bytes]:
    """The plain bytes. What is cut short gives what there is. Raises Undecodable."""
    stream = iter(pieces)
    for name in reversed(applied):
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise Undecodable(f"unknown content coding '{name}'")
        stream = decoder(stream)
    return stream


def decoded_whole(data: bytes, applied: tuple[str, ...], limit: int) -> bytes:
    """Raises Undecodable, also above `limit` bytes."""
    out, size = [], 0
    for piece in decoded((data,), applied):
        size += len(piece)
        if size > limit:
            raise Undecodable(f"more than {limit} bytes")
        out.append(piece)
    return b"".join(out)


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return _zlib(pieces, lambda first: 31)


def _deflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """With the zlib header that the standard asks for, or raw, as some servers send it."""
    return _zlib(pieces, lambda first: 15 if first[0] & 15 == 8 else -15)


def _zlib(pieces: Iterator[bytes], window: Callable[[bytes], int]) -> Iterator[bytes]:
    engine = None
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if engine is None or engine.eof:  # a gzip body may have several members
                    engine = zlib.decompressobj(window(rest))
                yield engine.decompress(rest, _OUTPUT_BYTES)
                rest = engine.unconsumed_tail or engine.unused_data
        if engine is not None:
            yield engine.flush()
    except zlib.error as error:
        raise Undecodable(str(error)) from None


def _brotli(pieces: Iterator[bytes]) -> Iterator[bytes]:
    engine = brotli.Decompressor()
    try:
        for piece in pieces:
            if piece and engine.is_finished():
                raise Undecodable("bytes after the end")
            yield engine.process(piece, output_buffer_limit=_OUTPUT_BYTES)
            while not engine.can_accept_more_data():
                yield engine.process(b"", output_buffer_limit=_OUTPUT_BYTES)
    except brotli.error as error:
        raise Undecodable(str(error)) from None


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    source = cast("IO[bytes]", _Pieces(pieces))  # only ever read from
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        with decompressor.stream_reader(source, read_across_frames=True) as reader:
            while piece := reader.read(_OUTPUT_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise Undecodable(str(error)) from None


class _Pieces:
    """What a decompressor reads from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


_DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
