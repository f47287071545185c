"""The rules of the faults, seen and changed while the program runs."""

from __future__ import annotations

import pytest

from tests.conftest import Serve
from tests.observe.asking import ask, chat

FAULTS = "/_fakeai/v1/faults"


async def test_rules_are_added_seen_replaced_and_removed(serve: Serve) -> None:
    app = await serve(fault=("429:key=nobody",))
    assert (await chat(app)).status == 200
    added = await ask(app, FAULTS, "POST", {"rule": "503:first=1"})
    assert (added.status, added.body["rule"]) == (201, "status:code=503,first=1")
    assert [(await chat(app)).status for _ in range(2)] == [503, 200]
    listed = (await ask(app, FAULTS)).body["data"]
    assert [(one["rule"], one["applied"]) for one in listed] == [
        ("status:code=429,key=nobody", 0),
        ("status:code=503,first=1", 1),
    ]
    put = await ask(
        app, FAULTS, "PUT", {"rules": [{"fault": "status", "code": 418}, "cut:after=1"]}
    )
    assert [one["rule"] for one in put.body["data"]] == ["status:code=418", "cut:after=1"]
    assert (await chat(app)).status == 418
    gone = await ask(app, f"{FAULTS}/{put.body['data'][0]['id']}", "DELETE")
    assert gone.body["deleted"] is True
    assert (await ask(app, FAULTS, "DELETE")).body == {"cleared": 1}
    assert (await chat(app)).status == 200
    journal = (await ask(app, "/_fakeai/v1/journal?fault=status")).body["data"]
    assert [entry["faults"] for entry in journal] == [["status:code=418"], ["status:code=503"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", FAULTS, {"rule": "cutt"}, 400, "Did you mean cut?"),
        ("POST", FAULTS, {"rule": {"fault": "cut", "afterr": 1}}, 400, "afterr"),
        ("POST", FAULTS, {"rule": "cut,429"}, 400, "one fault"),
        ("POST", FAULTS, {}, 400, "rule"),
        ("PUT", FAULTS, {"rules": ["700"]}, 400, "code=700"),
        ("PUT", FAULTS, {"rules": [{}]}, 400, "no fault"),
        ("DELETE", FAULTS + "/fault-9", None, 404, "fault-9"),
    ],
)
async def test_a_rule_that_cannot_be_changes_nothing(
    serve: Serve, method: str, path: str, body: object, status: int, said: str
) -> None:
    app = await serve(fault=("429:key=nobody",))
    got = await ask(app, path, method, body)
    assert got.status == status
    assert said in got.message
    assert len((await ask(app, FAULTS)).body["data"]) == 1
