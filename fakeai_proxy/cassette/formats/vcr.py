"""vcrpy's and pytest-recording's cassettes: YAML, or JSON of the same shape.

They know no times. Bodies are text or `!!binary`, and written without their coding, which not every
client that vcrpy plays for would undo. Headers are lists of values by name: the order of names survives,
that of equal names among others does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from fakeai_proxy.cassette.draft import recoded
from fakeai_proxy.cassette.formats.fields import Fields, parsed, read_bytes
from fakeai_proxy.cassette.formats.seen import (
    Answer,
    Seen,
    Skipped,
    headers_of,
    settled,
    split_url,
    url_of,
    with_type,
)
from fakeai_proxy.cassette.formats.told import Encode, Told
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import Headers

_WRITTEN_MAX = 64 << 20
_PYTHON = "tag:yaml.org,2002:python/"


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise CassetteError(
            "vcrpy's cassettes need PyYAML: pip install 'fakeai-proxy[vcr]'"
        ) from None
    return yaml


# --- in ----------------------------------------------------------------------------------------


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        document = Fields(_document(path), path)
        interactions = list(document.objects("interactions"))
        session = path.stem if len(files) > 1 else ""
        for done, interaction in enumerate(interactions, 1):
            yield _seen(interaction, session)
            tell(done, len(interactions))


def _document(path: Path) -> Any:
    data = read_bytes(path)
    if data.lstrip()[:1] == b"{":
        return parsed(data, path)
    yaml = _yaml()
    try:
        return yaml.load(data, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise CassetteError(f"{at}: not YAML ({error.problem})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CassetteError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None


@lru_cache(maxsize=1)
def _loader() -> Any:
    """The safe loader, with the few tags that older cassettes have; it makes only texts and bytes
    of them."""
    yaml = _yaml()

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # untyped
        pass

    def text(loader: Any, node: Any) -> str:
        return str(loader.construct_scalar(node))

    def items(loader: Any, node: Any) -> list[Any]:
        return list(loader.construct_sequence(node, deep=True))

    def buffer(loader: Any, node: Any) -> bytes:
        return _bytes((loader.construct_mapping(node, deep=True).get("state") or [b""])[0])

    def joined(loader: Any, node: Any) -> bytes:
        pieces = (loader.construct_mapping(node, deep=True).get("args") or [[]])[0]
        return b"".join(map(_bytes, pieces)) if isinstance(pieces, list) else _bytes(pieces)

    for name, make in {"str": text, "unicode": text, "tuple": items,
                       "object/new:_io.BytesIO": buffer,
                       "object/apply:builtins.iter": joined}.items():  # fmt: skip
        Loader.add_constructor(_PYTHON + name, make)
    return Loader


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str | None):
        raise ValueError(f"a body of type {type(value).__name__}")
    return (value or "").encode("utf-8", "surrogatepass")


def _seen(interaction: Fields, session: str) -> Seen | Skipped:
    request, response = interaction.object("request"), interaction.object("response")
    where = split_url(request.text("uri"), request.place)
    if where is None:
        return Skipped(interaction.place, f"no HTTP: {request.text('uri')[:40]}")
    asked, headers = _body(request, "body"), _headers(request)
    if isinstance(request.any("body"), dict | list):
        headers = with_type(headers, b"application/json")
    return Seen(interaction.place, request.text("method"), *where, settled(headers, asked), asked,
                _answer(response), session=session)  # fmt: skip


def _answer(response: Fields) -> Answer:
    if response.has("status_code"):  # as the client httpx was recorded at first
        status, reason = response.integer("status_code"), ""
        body = _body(response, "content")
    else:
        told = response.object("status")
        status, reason = told.integer("code"), told.text("message", "")
        held = response.object("body", {})
        body = held.base64("base64_string") if held.has("base64_string") else _body(held, "string")
    return Answer(status, settled(_headers(response), body), body, reason)


def _body(fields: Fields, name: str) -> bytes:
    value = fields.any(name)
    try:
        if isinstance(value, dict | list):  # JSON that the client had not written yet
            return _written(value)
        return _bytes(value)
    except (TypeError, ValueError, RecursionError):
        raise fields.wrong(name, "is neither text nor bytes") from None


def _written(value: object) -> bytes:
    """YAML's aliases make little text into much."""
    pieces, size = [], 0
    for piece in json.JSONEncoder().iterencode(value):
        size += len(piece)
        if size > _WRITTEN_MAX:
            raise ValueError("a body of aliases")
        pieces.append(piece)
    return "".join(pieces).encode()


def _headers(message: Fields) -> Headers:
    held = message.any("headers") or {}
    pairs = held.items() if isinstance(held, dict) else held
    found: list[tuple[str, str]] = []
    try:
        for name, values in pairs:
            every = values if isinstance(values, list | tuple) else [values]
            found += [(_text(name), _text(value)) for value in every]
    except (TypeError, ValueError):
        raise message.wrong("headers", "are no headers") from None
    return headers_of(found)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


# --- out ---------------------------------------------------------------------------------------


def write(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    yaml = _yaml()
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    out.write(b"interactions:\n")
    count = 0
    for one in told:
        count += 1
        text = yaml.dump([_interaction(one)], Dumper=dumper, sort_keys=False)
        out.write(text.encode())
    out.write(b"version: 1\n")
    return count


def write_json(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    """vcrpy's JSON has texts only: what has other bodies is left out."""
    count = 0
    out.write(b'{\n"interactions": [')
    for one in told:
        try:
            text = json.dumps(_interaction(one), indent=1).encode()
        except TypeError:
            continue
        out.write((b",\n" if count else b"\n") + text)
        count += 1
    out.write(b'\n],\n"version": 1\n}\n')
    return count


def _interaction(told: Told) -> dict[str, Any]:
    request, response = told.record.request, told.record.response
    assert response is not None, "only whole ones are exported"
    plain, headers = told.plain, response.headers
    if plain is not told.answered:
        headers = recoded(headers, plain)
    return {
        "request": {
            "body": _shown(told.asked) if told.asked else None,
            "headers": _grouped(request.headers),
            "method": request.method,
            "uri": url_of(told.record.upstream, request.target),
        },
        "response": {
            "body": {"string": _shown(plain)},
            "headers": _grouped(headers),
            "status": {
                "code": response.status,
                "message": response.reason.encode("utf-8", "replace").decode(),
            },
        },
    }


def _shown(body: bytes) -> str | bytes:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def _grouped(headers: Headers) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in headers:
        grouped.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return grouped
