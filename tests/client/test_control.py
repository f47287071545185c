"""The Python client of the control API, and that every row answers what the OpenAPI document says."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import fakeai_proxy
from fakeai_proxy.app import App
from fakeai_proxy.client import (
    AsyncControl,
    ConflictError,
    Control,
    ControlError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
)
from fakeai_proxy.client.asking import Asked, Row
from fakeai_proxy.client.steering import Filters
from fakeai_proxy.client.streams import Feed, Streamed
from fakeai_proxy.observe.answers import answer_of, status_of
from fakeai_proxy.observe.journal_routes import FILTERS
from fakeai_proxy.observe.pages import Route
from tests.conftest import Serve
from tests.observe.asking import ask, chat

#: What stands for an argument that has no default.
GIVEN = {"float": 1.0, "int": 1}


def is_shown(route: Route) -> bool:
    """Whether it is for a browser, or a WebSocket."""
    return answer_of(route) == "text/html" or status_of(route) == "101"


def rows() -> Iterator[tuple[str, Row[..., Any]]]:
    for cls in Control.__mro__:
        for name, value in vars(cls).items():
            if isinstance(value, Row):
                yield name, value


#: Rows that other modes have.
OTHER_MODES = {"verdict", "drift"}


def streams() -> dict[str, Streamed[..., Any]]:
    made = [item for cls in Control.__mro__ for item in vars(cls).items()]
    return {name: value for name, value in made if isinstance(value, Streamed)}


def described(row: Row[..., Any]) -> Asked[Any]:
    parameters = list(inspect.signature(row._describe).parameters.values())[1:]
    needed = [each for each in parameters if each.default is inspect.Parameter.empty]
    return row.asked(*(GIVEN.get(str(each.annotation), "x") for each in needed))


def route_of(app: App, asked: Asked[Any] | Feed[Any]) -> Route:
    return next(
        route
        for route in app.pages.routes
        if route.method == asked.method and route.pattern.fullmatch(asked.path)
    )


async def fleet(serve: Serve, **settings: object) -> App:
    """Everything that there can be."""
    return await serve(mode="synth", profile="1xh100-8b", speed=1e6, keep_calls=10, **settings)


async def test_every_row_of_the_document_has_a_method(serve: Serve) -> None:
    app = await fleet(serve)
    reached = {id(route_of(app, described(row))) for name, row in rows() if name not in OTHER_MODES}
    for stream in streams().values():
        route = route_of(app, stream.asked())
        assert answer_of(route) == "text/event-stream"
        reached.add(id(route))
    missing = [
        f"{route.method} {route.path}"
        for route in app.pages.routes
        if id(route) not in reached and not is_shown(route) and "/assets/" not in route.path
    ]
    assert not missing, "give these a method in fakeai_proxy/client/"


#: Method of the client -> its arguments, so that each of them has something to tell. `{}` is a worker.
ASKED: dict[str, tuple[object, ...]] = {
    "journal_entry": ("ENTRY",), "add_fault": ("503:p=0.001",), "replace_faults": (["429:p=0.001"],),
    "remove_fault": ("FAULT",), "remove_mark": ("incident_1",), "change_limits": (["openai"],),
    "start_scenario": ("calm",),
    "scale": ("pool", 2), "kill": ("{}", "a test"), "drain": ("{}",), "resume": ("{}",),
    "restart": ("{}",), "heal": ("{}",), "slow": ("{}", 2.0), "xid": ("{}", 63), "ecc": ("{}",),
    "thermal": ("{}",), "power_cap": ("{}", 500.0), "model": ("llama-3.1-8b",),
    "compare": ("llama-3.1-8b", "llama-3.1-8b"), "rate_limits_of": ("USER",),
}  # fmt: skip
#: They refuse here, or answer with bytes.
ELSEWHERE = {"miss", "advance", "change_profile", "media", "verdict", "drift"}
#: Shapes that have more fields than are told of.
OPEN = ("model",)
#: What changes the fleet for good comes last.
LAST = ("drain", "kill", "restart", "resume")


async def test_every_row_answers_in_its_documented_shape(serve: Serve) -> None:
    app = await fleet(serve, limits=("openai",), fault=("429:p=0.0001",))
    assert (await chat(app, model="llama-3.1-8b", max_tokens=20)).status == 200
    control = AsyncControl(app.url)
    document = await control.openapi()
    entry = (await control.journal()).data[0].id
    user = next(iter((await control.multi_dimensional()).model_by_user["llama-3.1-8b"]))
    known = {"{}": "pool-0", "ENTRY": entry, "USER": user}
    names = sorted((name for name, _ in rows()), key=lambda name: (name in LAST, name))
    assert set(ASKED) <= set(names)
    for name in names:
        if name in ELSEWHERE:
            continue
        given = []
        for value in ASKED.get(name, ()):
            fault = (await control.faults()).data[0].id if value == "FAULT" else None
            given.append(fault or (known.get(value, value) if isinstance(value, str) else value))
        asked = getattr(Control, name).asked(*given)
        answer = await asyncio.to_thread(control.ask, as_it_is(asked))
        fits(document, route_of(app, asked), answer, name)
        asked.read(answer)  # as the client has it
        if name == "clear_faults":
            await control.add_fault("429:p=0.0001")
        elif name in ("clear_journal", "reset"):
            await chat(app, model="llama-3.1-8b", max_tokens=20)
            known["ENTRY"] = (await control.journal()).data[0].id


async def test_what_only_cassettes_have_is_in_the_document_and_has_its_shape(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = tmp_path / "a.jsonl"
    cassette.touch()
    app = await serve(mode="diff", cassette=(cassette,), upstream="http://127.0.0.1:9")
    assert (await chat(app)).status == 404
    control = AsyncControl(app.url)
    document = await control.openapi()
    for asked in (Control.drift.asked(), Control.verdict.asked()):
        answer = (await ask(app, asked.path)).data
        fits(document, route_of(app, asked), answer, asked.path)
        asked.read(answer)
    assert (await control.drift()).compared == 0
    assert (await control.verdict()).counts["MISS"] == 1


def as_it_is(asked: Asked[Any]) -> Asked[bytes]:
    return Asked(asked.method, asked.path, bytes, asked.query, asked.body, asked.accept)


def fits(document: dict[str, Any], route: Route, answer: bytes, name: str) -> None:
    path = route.path.replace(":path}", "}")
    responses = document["paths"][path][route.method.lower()]["responses"]
    content = next(value for status, value in responses.items() if status != "default")["content"]
    if "application/json" not in content:
        assert isinstance(answer_of(route), str)
        return
    shape = answer_of(route)
    assert not isinstance(shape, str), f"{name}: give it a shape in observe/answers.py"
    value = json.loads(answer)
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(value)
    # Nothing is said that the shape does not know; of other rows' own shapes a part is enough.
    if isinstance(value, dict) and "root" not in shape.model_fields:
        assert name in OPEN or set(value) <= set(shape.model_fields), name


def test_the_filters_of_the_journal_are_those_there_are() -> None:
    assert set(Filters.__annotations__) == {parameter.name for parameter in FILTERS}


async def test_the_document_is_whole(serve: Serve) -> None:
    app = await fleet(serve)
    document = await AsyncControl(app.url).openapi()
    schemas = document["components"]["schemas"]

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, each in value.items():
                if key == "$ref":
                    yield str(each)
                else:
                    yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    named = set(references(document))
    assert named
    assert {name.removeprefix("#/components/schemas/") for name in named} <= set(schemas)
    for name, schema in schemas.items():
        assert jsonschema_rs.meta.is_valid(schema), name
    ids = [(method, path) for path, item in document["paths"].items() for method in item]
    assert len(ids) == len(set(ids))


async def test_refusals_are_exceptions_of_their_kinds(serve: Serve) -> None:
    app = await serve(mode="synth", admin_token="open sesame")
    control = AsyncControl(app.url, "open sesame")
    assert (await control.status()).mode == "synth"
    for asking, kind, code in (
        (control.journal_entry("req_1"), NotFoundError, "journal_entry_not_found"),
        (control.advance(1), ConflictError, "clock_is_real"),
        (control.journal(limit=0), InvalidRequestError, None),
        (AsyncControl(app.url).status(), NotAllowedError, "admin_token_missing"),
        (AsyncControl(app.url, "sesame").status(), NotAllowedError, "admin_token_wrong"),
    ):
        with pytest.raises(kind) as caught:
            await asking
        assert code is None or caught.value.code == code
        assert isinstance(caught.value, ControlError)
    gone = app.url
    await app.close()
    with pytest.raises(UnreachableError, match="does not answer"):
        await AsyncControl(gone, timeout_s=5).health()
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        Control("127.0.0.1:8000")


def test_the_embedded_server_has_one() -> None:
    with (
        fakeai_proxy.serve(profile="none", admin_token="sesame") as server,
        server.control as control,
    ):
        assert control.add_fault("503:first=1").rule.startswith("status")
        assert [rule.applied for rule in control.faults().data] == [0]
        assert control.clear_faults().cleared == 1
        assert control.verify(count=0).ok
        assert isinstance(control.metrics_text(), str)
        assert Control.status.__doc__ is None
        assert "NAME[:TIER]" in str(Control.change_limits.__doc__)


async def test_proxies_of_the_environment_are_not_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await serve(mode="synth")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with AsyncControl(app.url + "/") as control:
        assert (await control.health()).status == "ok"
    assert (await ask(app, "/_fakeai/v1/journal")).body["finished_total"] == 0
