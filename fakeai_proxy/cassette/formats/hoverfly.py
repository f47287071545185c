"""Hoverfly's simulations, schema 5.

A pair whose request is matched by anything else than equality is no recording of one, and is left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

from fakeai_proxy.cassette.formats.fields import Fields, read_bytes, read_json
from fakeai_proxy.cassette.formats.seen import (
    Answer,
    Seen,
    Several,
    Skipped,
    Times,
    headers_of,
    settled,
    split_url,
    with_type,
)
from fakeai_proxy.exchange import Headers

_EXACT = ("exact", "json")


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        document = Fields(read_json(path), path)
        version = document.object("meta").text("schemaVersion")
        if not version.startswith("v5"):
            raise document.wrong("meta.schemaVersion", f"is {version}, and v5 is read")
        pairs = list(document.object("data").objects("pairs"))
        for done, pair in enumerate(pairs, 1):
            try:
                yield _seen(pair)
            except Several as reason:
                yield Skipped(pair.place, str(reason))
            tell(done, len(pairs))


def _seen(pair: Fields) -> Seen:
    request, response = pair.object("request"), pair.object("response")
    if response.any("templated") and "{{" in response.text("body", ""):
        raise Several("its answer is a template")
    body, is_json = _exact(request, "body")
    headers = headers_of(_many(request, "headers"))
    if is_json:
        headers = with_type(headers, b"application/json")
    upstream, target = _where(request)
    answer = _answer(response)
    first_us = round(_delay_ms(response) * 1000)
    return Seen(pair.place, _exact(request, "method")[0] or "GET", upstream, target, headers,
                body.encode("utf-8", "surrogatepass"), answer, Times(first_us, first_us))  # fmt: skip


def _where(request: Fields) -> tuple[str, str]:
    host, scheme = _exact(request, "destination")[0], _exact(request, "scheme")[0]
    path = _exact(request, "path")[0] or "/"
    query = (
        urlencode(_many(request, "query"), errors="surrogatepass")
        or _exact(request, "deprecatedQuery")[0]
    )
    url = f"{scheme or 'https'}://{host or 'unknown.invalid'}{path}"
    where = split_url(f"{url}?{query}" if query else url, request.place)
    if where is None:
        raise Several(f"its scheme is {scheme}")
    return (where[0] if host else ""), where[1]


def _exact(request: Fields, name: str) -> tuple[str, bool]:
    """The one value, and whether it is JSON; "" where nothing is asked of it."""
    for matcher in request.objects(name):
        kind = matcher.text("matcher", "exact")
        if kind not in _EXACT or matcher.has("doMatch"):
            raise Several(f"its {name} is matched by {kind}")
        return matcher.text("value"), kind == "json"
    return "", False


def _many(request: Fields, name: str) -> list[tuple[str, str]]:
    """Headers or parameters; several values of one stand in one text, apart by semicolons."""
    matchers = request.object(name, {})
    found: list[tuple[str, str]] = []
    for key in matchers.value:
        value = _exact(matchers, key)[0]
        found += [(key, one) for one in (value.split(";") if name == "query" else [value])]
    return found


def _answer(response: Fields) -> Answer:
    headers: Headers = headers_of(
        (name, str(value))
        for name in response.object("headers", {}).value
        for value in response.object("headers").items(name)
    )
    body = _body(response)
    return Answer(response.integer("status", 200), settled(headers, body), body)


def _body(response: Fields) -> bytes:
    if response.has("bodyFile"):
        folder = response.path.parent.resolve()
        path = (folder / response.text("bodyFile")).resolve()
        if not path.is_relative_to(folder):
            raise response.wrong("bodyFile", "is outside of the simulation's folder")
        return read_bytes(path)
    text = response.text("body", "")
    if not response.any("encodedBody"):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise response.wrong("body", "is no base64") from None


def _delay_ms(response: Fields) -> float:
    drawn = response.object("logNormalDelay", {})
    return max(0.0, response.number("fixedDelay", drawn.number("median", 0)))
