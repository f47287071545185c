"""The table of operations is made of what the SDKs can ask, and is what the server does."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from fakeai_proxy.app import App
from tests.compatibility import answered
from tests.conftest import Serve
from tests.observe.asking import Got, ask
from tests.operations import SDKS, Known, listed, read

#: Anthropic's finds OpenAI's room, which answers in shapes of its own: the page says so.
OTHERS_ROOM = {"/files", "/files/{}", "/files/{}/content"}


@pytest.mark.parametrize("sdk", SDKS)
def test_the_list_of_an_sdk_is_what_it_can_ask(sdk: str) -> None:
    """Of another version of it, that it can still be read."""
    at, known = listed(sdk)
    found = set(read(sdk))
    if version(sdk) == at:
        assert found == set(known), "run `python -m tests.operations`"
    assert len(found & set(known)) > len(known) / 2


async def asked(app: App, sdk: str, known: Known) -> Got:
    body = None if known.method == "GET" else {}
    headers = {"anthropic-version": "2023-06-01"} if sdk == "anthropic" else {}
    path = f"/v1{known.path.replace('{}', 'x')}"
    return await ask(app, path, known.method, body, {"authorization": "Bearer any", **headers})


@pytest.mark.parametrize("sdk", SDKS)
async def test_what_is_not_answered_is_not_found(serve: Serve, sdk: str) -> None:
    """One of each part, and all of those that are answered in part."""
    app = await serve(mode="synth")
    ours = answered(sdk)
    missing = {known for known in listed(sdk)[1] if known not in ours}
    partly = {known.group for known in ours}
    first = {known.group: known for known in sorted(missing, reverse=True)}.values()
    for known in sorted({*first, *(one for one in missing if one.group in partly)}):
        if sdk != "anthropic" or known.path not in OTHERS_ROOM:
            assert (await asked(app, sdk, known)).status in (404, 405), known


@pytest.mark.parametrize("sdk", SDKS)
async def test_what_is_answered_is_found(serve: Serve, sdk: str) -> None:
    """Whatever is then said of an empty body or of an id that nobody has."""
    app = await serve(mode="synth")
    nowhere = (await asked(app, sdk, Known("/no/such/path", "GET"))).message.partition("(")[0]
    for known in sorted(answered(sdk)):
        got = await asked(app, sdk, known)
        assert got.status != 405, known
        assert got.status < 500, known
        assert not (got.status == 404 and got.message.startswith(nowhere)), known
