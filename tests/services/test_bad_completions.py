"""Whatever a field holds, a request of the text-making rooms is answered with 200 or a 4xx in the
envelope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.threaded import threaded_app

OWN = "Qwen/Qwen3-8B"
GOOD: dict[str, dict[str, Any]] = {
    "/v1/completions": {"model": OWN, "prompt": "The sea"},
    "/tokenize": {"model": OWN, "prompt": "The sea"},
    "/detokenize": {"model": OWN, "tokens": [1, 2]},
    "/v1/ranking": {
        "model": "Qwen/Qwen3-Reranker-0.6B", "query": {"text": "a"}, "passages": [{"text": "b"}],
    },
    "/rerank": {"model": "Qwen/Qwen3-Reranker-0.6B", "query": "a", "documents": ["b"]},
    "/score": {"model": "Qwen/Qwen3-Reranker-0.6B", "text_1": "a", "text_2": "b"},
    "/v1/text/generation": {"model": OWN, "input": "The sea"},
}  # fmt: skip
FIELDS: dict[str, tuple[str, ...]] = {
    "/v1/completions": (
        "prompt", "add_special_tokens", "best_of", "cache_salt", "echo", "guided_choice", "guided_grammar",
        "guided_json", "guided_regex", "ignore_eos", "logit_bias", "logprobs", "max_tokens",
        "min_tokens", "n", "nvext", "priority", "prompt_logprobs", "response_format",
        "return_token_ids", "seed", "stop", "stream", "stream_options", "structured_outputs",
        "suffix", "temperature", "top_k", "top_p", "truncate_prompt_tokens", "unheard_of",
    ),
    "/tokenize": ("prompt", "messages", "tools", "add_special_tokens", "return_token_strs"),
    "/detokenize": ("tokens",),
    "/v1/ranking": ("query", "passages", "truncate"),
    "/rerank": ("query", "documents", "top_n", "truncate_prompt_tokens", "priority"),
    "/score": ("text_1", "text_2", "truncate_prompt_tokens"),
    "/v1/text/generation": ("input", "max_output_tokens", "stop", "temperature"),
}  # fmt: skip
_NUMBERS = st.integers(-3, 40) | st.sampled_from([2**31, 2**63, 2**70, -(2**70), 1e300, 0.5, -0.0])
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "type", "json", "regex", "choice", "schema", "role", "content"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with (
        threaded_app() as url,
        httpx.Client(base_url=url, timeout=60, headers={"authorization": "Bearer k"}) as client,
    ):
        yield client


@pytest.mark.parametrize("path", GOOD)
@given(data=st.data())
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_in_a_field_makes_a_server_error(
    http: httpx.Client, path: str, data: st.DataObject
) -> None:
    fields = data.draw(st.dictionaries(st.sampled_from(FIELDS[path]), _JSON, max_size=4))
    answer = http.post(path, json={**GOOD[path], **fields})
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, (fields, answer.text)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]
