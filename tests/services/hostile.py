"""Bodies that nobody means: JSON of any shape, with the field names and words of a room here and there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Json = st.SearchStrategy[Any]

#: A server of a module's own answers all examples.
ANY_BODY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def values(fields: Sequence[str], words: Sequence[str]) -> Json:
    return st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-5, 2**40),
            st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
            st.sampled_from(words),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(fields), inner, max_size=5),
        ),
        max_leaves=12,
    )  # fmt: skip


def bodies(fields: Sequence[str], words: Sequence[str]) -> Json:
    return st.dictionaries(st.sampled_from(fields), values(fields, words), max_size=6)


def prompts(usual: Any, fields: Sequence[str], words: Sequence[str]) -> Json:
    """What stands where the conversation stands: sometimes the `usual` one."""
    anything = values(fields, words)
    return st.one_of(st.just(usual), anything, st.lists(anything, max_size=3))


def answered_or_refused(ask: Callable[[bytes], httpx.Response], body: dict[str, Any]) -> None:
    answer = ask(orjson.dumps(body))
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
