"""The dashboard: a page, its style and its modules, served from memory. It is files beside this one and
knows the program only by its control API. Nothing in it comes from another address, and it may load
nothing from one."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.observe.pages import OWN, Answer, Call, Route

ASSETS = f"{OWN}/assets/"
_FOLDER = Path(__file__).parent
#: What is served, and as what.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Asset(NamedTuple):
    data: bytes
    content_type: str
    etag: bytes


@cache
def assets() -> dict[str, Asset]:
    """By path below the folder."""
    return {
        path.relative_to(_FOLDER).as_posix(): _read(path)
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }


def _read(path: Path) -> Asset:
    data = path.read_bytes()
    digest = blake2b(data, digest_size=12).hexdigest()
    return Asset(data, _TYPES[path.suffix], b'"%b"' % digest.encode())


def dashboard_routes(elsewhere: bool) -> tuple[Route, ...]:
    """`elsewhere`: also at FakeAI's addresses, where these are not an upstream's."""

    def page(call: Call) -> Answer:
        return _answer(call, assets()["index.html"])

    def file(call: Call) -> Answer:
        found = assets().get(call.params["name"])
        if found is None:
            raise errors.unknown_page("GET", call.request.path, [f"{OWN}/"])
        return _answer(call, found)

    summary = "The dashboard."
    paths = (f"{OWN}/", *(("/dashboard", "/dashboard/dynamo") if elsewhere else ()))
    return (
        *(Route("GET", path, page, summary, threaded=True) for path in paths),
        Route("GET", f"{ASSETS}{{name:path}}", file, "A file of the dashboard.", threaded=True),
    )


def _answer(call: Call, asset: Asset) -> Answer:
    headers = (
        (b"etag", asset.etag),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", _POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
    )
    known = [each.strip() for each in (call.request.header(b"if-none-match") or b"").split(b",")]
    if asset.etag in known:
        return Answer(b"", 304, asset.content_type, headers)
    return Answer(asset.data, content_type=asset.content_type, headers=headers)
