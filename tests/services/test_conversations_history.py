"""Any history of conversations, against a model that is a list: also when the reader forgets what it read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.threaded import threaded_app

TEXTS = st.sampled_from(("Hello", "I keep lighthouses.", "And then?", "No more of it, please."))


@dataclass
class Model:
    """The texts of a conversation by the ids of their items."""

    id: str
    texts: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


STEPS = st.one_of(
    st.tuples(st.just("add"), st.lists(TEXTS, min_size=1, max_size=3)),
    st.tuples(st.just("refer"), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("respond"), TEXTS),
    st.tuples(st.just("respond unstored"), TEXTS),
    st.tuples(st.just("stream"), TEXTS),
    st.tuples(st.just("rename"), st.dictionaries(st.sampled_from("ab"), TEXTS, max_size=2)),
    st.tuples(st.just("page"), st.integers(1, 4)),
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer k"}
    with (
        threaded_app() as url,
        httpx.Client(base_url=f"{url}/v1/", headers=headers, timeout=30) as made,
    ):
        yield made


def ok(answer: httpx.Response) -> dict:  # type: ignore[type-arg]  # whatever JSON has
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()  # type: ignore[type-arg]  # the same
    return found


def _message(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _texts(items: list[dict]) -> dict[str, str]:  # type: ignore[type-arg]  # items as they come
    return {item["id"]: item["content"][0]["text"] for item in items}


class History:
    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.model = Model(ok(http.post("conversations", json={}))["id"])

    def step(self, what: str, given: object) -> None:
        getattr(self, "_" + what.replace(" ", "_"))(given)

    @property
    def _path(self) -> str:
        return f"conversations/{self.model.id}"

    def _added(self, items: list[object]) -> None:
        added = ok(self.http.post(f"{self._path}/items", json={"items": items}))["data"]
        self.model.texts |= _texts(added)

    def _add(self, texts: list[str]) -> None:
        self._added([_message(text) for text in texts])

    def _refer(self, place: int) -> None:
        ids = list(self.model.texts)
        if place < len(ids):
            self._added([{"type": "item_reference", "id": ids[place]}])

    def _remove(self, place: int) -> None:
        ids = list(self.model.texts)
        if place < len(ids):
            ok(self.http.delete(f"{self._path}/items/{ids[place]}"))
            del self.model.texts[ids[place]]

    def _respond(self, text: str, store: bool = True) -> None:
        body = {"model": "gpt-4o", "input": text, "conversation": self.model.id, "store": store}
        asked = {name: body[name] for name in ("model", "input", "conversation")}
        counted = ok(self.http.post("responses/input_tokens", json=asked))["input_tokens"]
        made = ok(self.http.post("responses", json={**body, "max_output_tokens": 16}))
        assert made["usage"]["input_tokens"] == counted
        self._said(text, made["output"])

    def _respond_unstored(self, text: str) -> None:
        self._respond(text, store=False)

    def _stream(self, text: str) -> None:
        body = {
            "model": "gpt-4o", "input": text, "conversation": {"id": self.model.id}, "stream": True,
            "max_output_tokens": 16,
        }  # fmt: skip
        told = self.http.post("responses", json=body)
        assert told.status_code == 200
        self._said(text, None)

    def _said(self, text: str, output: list[dict] | None) -> None:  # type: ignore[type-arg]  # items
        newest = ok(self.http.get(f"{self._path}/items?limit=2"))["data"][::-1]
        assert newest[0]["content"][0]["text"] == text
        assert output is None or newest[1:] == output
        self.model.texts |= _texts(newest)

    def _rename(self, metadata: dict[str, str]) -> None:
        shown = ok(self.http.post(self._path, json={"metadata": metadata}))
        self.model.metadata = metadata
        assert shown["metadata"] == metadata

    def _page(self, limit: int) -> None:
        found: list[str] = []
        after = ""
        while True:
            query = {"limit": limit, "order": "desc", **({"after": after} if after else {})}
            page = ok(self.http.get(f"{self._path}/items", params=query))
            found += [item["id"] for item in page["data"]]
            if not page["has_more"]:
                break
            after = page["last_id"]
        assert found == list(self.model.texts)[::-1]

    def check(self) -> None:
        items = ok(self.http.get(f"{self._path}/items?order=asc&limit=100"))["data"]
        assert list(_texts(items).items()) == list(self.model.texts.items())
        assert ok(self.http.get(self._path))["metadata"] == self.model.metadata


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=st.lists(st.tuples(st.booleans(), STEPS), max_size=14))
def test_two_conversations_are_what_was_done_to_them(
    http: httpx.Client, steps: list[tuple[bool, tuple[str, object]]]
) -> None:
    histories = [History(http), History(http)]
    for which, step in steps:
        histories[which].step(*step)
    for history in histories:
        history.check()
