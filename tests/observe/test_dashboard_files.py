"""The dashboard's files: what is served, with which rules, and that what others wrote is as they wrote it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from fakeai_proxy.observe import dashboard
from fakeai_proxy.observe.dashboard import ASSETS, assets
from tests.conftest import Serve
from tests.observe.asking import ask

FOLDER = Path(dashboard.__file__).parent
VENDOR = FOLDER / "vendor"
OWN = sorted(path for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".html", ".svg"))


@pytest.mark.parametrize("target", ["/_fakeai/", "/_fakeai", "/dashboard", "/dashboard/dynamo"])
async def test_the_page_is_there_for_everybody_and_may_load_from_nowhere_else(
    serve: Serve, target: str
) -> None:
    app = await serve(profile="quick", admin_token="t")
    page = await ask(app, target)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page.data.decode())


async def test_fakeais_addresses_are_the_upstreams_where_there_is_one(serve: Serve) -> None:
    app = await serve(mode="replay", cassette=("cassettes/quickstart.jsonl",))
    assert (await ask(app, "/_fakeai/")).status == 200
    assert (await ask(app, "/dashboard")).status == 404


async def test_files_have_their_types_and_are_not_sent_twice(serve: Serve) -> None:
    app = await serve()
    types = {
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
        ".html": "text/html",
    }
    for name, asset in assets().items():
        got = await ask(app, ASSETS + name)
        assert (got.status, got.data) == (200, asset.data)
        assert got.headers["content-type"].startswith(types[Path(name).suffix])
        assert got.headers["x-content-type-options"] == "nosniff"
        again = await ask(app, ASSETS + name, headers={"if-none-match": got.headers["etag"]})
        assert (again.status, again.data) == (304, b"")


async def test_nothing_else_of_the_folder_is_served(serve: Serve) -> None:
    app = await serve()
    for name in (
        "__init__.py",
        "vendor/VENDORED.md",
        "../live.py",
        "%2e%2e/live.py",
        "/etc/passwd",
    ):
        assert (await ask(app, ASSETS + name)).status == 404


def test_what_others_wrote_is_as_it_is_written_down() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` .* `([0-9a-f]{64})` \|$", (VENDOR / "VENDORED.md").read_text(), re.M
    )
    scripts = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")
    }
    assert dict(rows) == scripts
    for named in re.findall(r"LICENSE-\w+\.txt", (VENDOR / "VENDORED.md").read_text()):
        assert (
            "ermission" in (VENDOR / named).read_text() or "Apache" in (VENDOR / named).read_text()
        )


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_is_short_and_names_no_other_address(path: Path) -> None:
    source = path.read_text("utf-8")
    assert source.count("\n") <= 420
    addresses = set(re.findall(r"https?://[\w.]+", source)) - {"http://www.w3"}
    assert {address for address in addresses if "w3.org" not in address} == set()


def test_every_module_is_loaded_by_the_page() -> None:
    seen, left = set(), ["index.html"]
    while left:
        name = left.pop()
        seen.add(name)
        source = (FOLDER / name).read_text("utf-8")
        found = re.findall(r'from "\./([\w./]+)"', source) + re.findall(
            rf'"{ASSETS}([\w./]+)"', source
        )
        left += [each for each in found if each not in seen]
    assert seen == set(assets())
