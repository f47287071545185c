"""Forms: what clients send, cut anywhere, is what the room gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import ROOMS
from fakeai_proxy.services.form import Form, FormShape, Upload, read_form
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply
from tests.conftest import Serve


def _encoded(
    data: dict[str, object], files: list[tuple[str, tuple[str, bytes, str]]]
) -> httpx.Request:
    return httpx.Request("POST", "http://x", data=data, files=files)


async def _fed(body: bytes, content_type: str, cuts: list[int]) -> Form:
    borders = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})

    async def pieces() -> AsyncIterator[bytes]:
        for start, stop in pairwise(borders):
            yield body[start:stop]

    return await read_form(content_type, pieces(), 1 << 20, VirtualClock())


@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40),
    data=st.binary(max_size=3000),
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
)
async def test_however_a_form_is_cut_it_says_the_same(
    text: str, data: bytes, cuts: list[int]
) -> None:
    request = _encoded(
        {"model": text, "tags[]": ["a", "b"], "expires_after[seconds]": "60"},
        [("file", ("ä.bin", data, "x/y"))],
    )
    body, content_type = request.read(), request.headers["content-type"]
    whole, form = await _fed(body, content_type, []), await _fed(body, content_type, cuts)
    upload = form.values.pop("file")
    assert form.values == {"model": text, "tags": ["a", "b"], "expires_after": {"seconds": "60"}}
    assert (upload.filename, upload.content_type, upload.size) == ("ä.bin", "x/y", len(data))
    assert upload.read() == data
    assert form.fingerprint("p") == whole.fingerprint("p")
    form.close()
    whole.close()


async def test_forms_differ_by_names_texts_and_bytes_and_not_by_their_boundaries() -> None:
    async def fingerprint(data: dict[str, object], content: bytes) -> bytes:
        request = _encoded(data, [("file", ("f", content, "x/y"))])
        form = await _fed(request.read(), request.headers["content-type"], [])
        form.close()
        return form.fingerprint("POST /x")

    same = [await fingerprint({"a": "1"}, b"one") for _ in range(2)]
    assert same[0] == same[1]
    others = [
        await fingerprint({"a": "2"}, b"one"),
        await fingerprint({"b": "1"}, b"one"),
        await fingerprint({"a": "1"}, b"two"),
        await fingerprint({"a": "1one"}, b""),
    ]
    assert len({same[0], *others}) == 5


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nhalf"),
        ("multipart/form-data; boundary=x", b"nothing of the kind"),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\n1\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x",
         b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n'),
        ("multipart/form-data; boundary=x",
         b'--x\r\nContent-Disposition: form-data; name="a[b][c][d][e][f][g][h][i][j]"\r\n\r\n1\r\n--x--\r\n'),
    ],
)  # fmt: skip
async def test_what_is_no_form_is_told_so(content_type: str, body: bytes) -> None:
    with pytest.raises(ApiError) as told:
        await _fed(body, content_type, [])
    assert told.value.status == 400
    assert "multipart body" in told.value.message


class _Asked(FormShape):
    model: str
    count: int = 1
    exact: bool = False
    file: Upload


async def _measure(call: Call) -> Reply:
    asked: _Asked = call.body
    return json_reply({"model": asked.model, "count": asked.count, "exact": asked.exact,
                       "bytes": asked.file.size, "name": asked.file.filename})  # fmt: skip


@dataclass(frozen=True)
class _Room:
    operations: tuple[Operation, ...]
    under: tuple[str, ...] = ("measure",)
    module: str = "measure"
    is_ready: bool = True


@pytest.fixture
async def measured(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> str:
    operation = Operation("measure", "POST", "/measure", _measure, form=_Asked, form_bytes_max=4096)
    monkeypatch.setitem(ROOMS, "measure", _Room((operation,)))  # type: ignore[arg-type] # a stand-in
    app = await serve(mode="synth", profile="none")
    return app.url + "/v1/measure"


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"model": "m", "count": "3", "exact": "true"}, 200, '"count":3,"exact":true,"bytes":5'),
        ({"model": "m", "count": "many"}, 400, "count"),
        ({}, 400, "model"),
        ({"model": "m" * 5000}, 413, ""),
    ],
)
async def test_a_room_gets_the_types_of_its_shape(
    measured: str, fields: dict[str, str], status: int, said: str
) -> None:
    form = aiohttp.FormData(fields)
    form.add_field("file", b"bytes", filename="../a.txt", content_type="text/plain")
    async with (
        aiohttp.ClientSession(headers={"authorization": "Bearer k"}) as http,
        http.post(measured, data=form) as response,
    ):
        assert response.status == status
        assert said in await response.text()


async def test_a_json_body_where_a_form_is_due_is_told_so(measured: str) -> None:
    async with (
        aiohttp.ClientSession(headers={"authorization": "Bearer k"}) as http,
        http.post(measured, json={"model": "m"}) as response,
    ):
        assert response.status == 400
        assert "multipart/form-data" in (await response.json())["error"]["message"]
