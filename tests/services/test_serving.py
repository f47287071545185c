"""The paths that vLLM and NIM have beside OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.generate.tokens import Tokens

MODEL = "Qwen/Qwen3-8B"
LLAMA = "meta/llama-3.1-8b-instruct"
MESSAGES: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Naïve café 🌊?"}]},
]


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=app.url, headers={"authorization": "Bearer k"}) as made:
        yield made


async def post(http: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_probes_need_no_key(app: App) -> None:
    async with httpx.AsyncClient(base_url=app.url) as http:
        assert (await http.get("/health")).status_code == 200
        answer = await http.get("/ping")
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await http.post("/ping")).status_code == 200
        assert (await http.get("/version")).json()["version"].count(".") == 2
        ready = (await http.get("/v1/health/ready")).json()
        assert ready == {"object": "health.response", "message": "Service is ready."}
        assert (await http.get("/v1/health/live")).json()["message"] == "Service is live."
        assert set((await http.get("/v1/version")).json()) == {"release", "api"}
        metadata = (await http.get("/v1/metadata")).json()
        assert "llama-3.1-8b-instruct" in {one["shortName"] for one in metadata["modelInfo"]}
        assert (await http.delete("/ping")).status_code == 405
        assert (await http.get("/v1/models")).status_code == 401
        assert (await http.post("/tokenize", json={"prompt": "a"})).status_code == 401


async def test_text_is_told_as_tokens_and_back(http: httpx.AsyncClient) -> None:
    text = "Naïve café 🌊, twice."
    told = await post(http, "/tokenize", model=MODEL, prompt=text, return_token_strs=True)
    assert told["tokens"] == list(Tokens.load("qwen3").encode(text))
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"])
    assert told["max_model_len"] > 30_000
    back = await post(http, "/detokenize", model=MODEL, tokens=told["tokens"])
    assert back == {"prompt": text}
    assert (await post(http, "/tokenize", model=MODEL, prompt=text))["token_strs"] is None
    assert (await post(http, "/detokenize", tokens=[])) == {"prompt": ""}
    with_start = await post(http, "/tokenize", model=LLAMA, prompt=text)
    without = await post(http, "/tokenize", model=LLAMA, prompt=text, add_special_tokens=False)
    assert with_start["tokens"] == [128000, *without["tokens"]]


async def test_a_conversation_has_as_many_tokens_as_chat_counts(
    http: httpx.AsyncClient, client: AsyncOpenAI
) -> None:
    told = await post(http, "/tokenize", model=MODEL, messages=MESSAGES, return_token_strs=True)
    answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=1)
    assert answer.usage is not None
    assert told["count"] == answer.usage.prompt_tokens
    assert told["token_strs"][-1] == "<|im_sep|>"
    bare = await post(
        http, "/tokenize", model=MODEL, messages=MESSAGES, add_generation_prompt=False
    )
    assert bare["count"] == told["count"] - 3
    back = await post(http, "/detokenize", model=MODEL, tokens=told["tokens"])
    assert "Naïve café 🌊?<|im_end|><|im_start|>assistant<|im_sep|>" in back["prompt"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tokenize", {}, 400),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, 400),
        ("/tokenize", {"prompt": 5}, 400),
        ("/tokenize", {"prompt": "a", "model": "none"}, 404),
        ("/tokenize", {"messages": []}, 400),
        ("/tokenize", {"messages": [{"role": "king", "content": "a"}]}, 400),
        ("/detokenize", {}, 400),
        ("/detokenize", {"tokens": "a"}, 400),
        ("/detokenize", {"tokens": [1, 2**40]}, 400),
        ("/detokenize", {"tokens": [-1]}, 400),
        ("/detokenize", {"tokens": [True]}, 400),
    ],
)
async def test_what_is_no_text_is_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
