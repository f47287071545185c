"""Embeddings through the vendor's own SDK."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import numpy
import openai
import pytest
import quicktok
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Ended, Serve, serving
from tests.services.refusing import refusal
from tests.services.threaded import threaded_app

SMALL = "text-embedding-3-small"
BPE = quicktok.get_encoding("cl100k_base")


@pytest.fixture
async def client(serve: Serve) -> openai.AsyncOpenAI:
    app = await serve(mode="synth")
    return openai.AsyncOpenAI(base_url=f"{app.url}/v1", api_key="k", max_retries=0)


async def refused(client: openai.AsyncOpenAI, **arguments: Any) -> dict[str, Any]:
    status, error = await refusal(client.embeddings.create(**{"model": SMALL, **arguments}))
    assert 400 <= status < 500
    return {"status": status, **error}


async def test_every_form_of_input_has_its_vectors_in_order_and_real_usage(
    client: openai.AsyncOpenAI,
) -> None:
    text, other = "The quick brown fox", "jumps over the lazy dog"
    ids, more = BPE.encode_ordinary(text), BPE.encode_ordinary(other)
    one = await client.embeddings.create(model=SMALL, input=text)
    assert (one.model, one.object, one.data[0].index) == (SMALL, "list", 0)
    assert one.usage.prompt_tokens == one.usage.total_tokens == len(ids)
    two = await client.embeddings.create(model=SMALL, input=[text, other])
    assert [item.index for item in two.data] == [0, 1]
    assert two.usage.prompt_tokens == len(ids) + len(more)
    tokens = await client.embeddings.create(model=SMALL, input=ids)
    lists = await client.embeddings.create(model=SMALL, input=[ids, more])
    assert one.data[0].embedding == two.data[0].embedding
    assert tokens.data[0].embedding == lists.data[0].embedding == one.data[0].embedding
    assert lists.data[1].embedding == two.data[1].embedding
    assert lists.usage == two.usage


async def test_floats_and_base64_say_the_same(client: openai.AsyncOpenAI) -> None:
    raw = await client.embeddings.with_raw_response.create(
        model=SMALL, input="as it goes over the wire", encoding_format="base64"
    )
    packed = json.loads(raw.content)["data"][0]["embedding"]
    unpacked = numpy.frombuffer(base64.b64decode(packed), "<f4")
    floats = await client.embeddings.create(
        model=SMALL, input="as it goes over the wire", encoding_format="float"
    )
    assert numpy.array_equal(numpy.array(floats.data[0].embedding, numpy.float32), unpacked)


@pytest.mark.parametrize(
    ("model", "length"),
    [(SMALL, 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)],
)
async def test_vectors_have_the_models_length_and_are_of_unit_length(
    client: openai.AsyncOpenAI, model: str, length: int
) -> None:
    reply = await client.embeddings.create(model=model, input=["a", "b c d", "\N{SNOWMAN}"])
    for item in reply.data:
        assert len(item.embedding) == length
        assert numpy.linalg.norm(item.embedding) == pytest.approx(1.0, abs=1e-6)


async def test_dimensions_are_a_prefix_brought_back_to_unit_length(
    client: openai.AsyncOpenAI,
) -> None:
    text = "A sentence that is long enough to fill a vector"
    whole = await client.embeddings.create(model=SMALL, input=text)
    short = await client.embeddings.create(model=SMALL, input=text, dimensions=256)
    prefix = numpy.array(whole.data[0].embedding[:256])
    assert numpy.allclose(short.data[0].embedding, prefix / numpy.linalg.norm(prefix), atol=1e-6)


async def test_an_azure_deployment_names_the_model(serve: Serve) -> None:
    app = await serve(mode="synth")
    azure = openai.AsyncAzureOpenAI(
        azure_endpoint=app.url, api_key="k", api_version="2024-10-21", max_retries=0
    )
    reply = await azure.embeddings.create(model=SMALL, input="hello")
    assert reply.model == SMALL
    with pytest.raises(openai.NotFoundError) as caught:
        await azure.embeddings.create(model="nowhere", input="hello")
    assert caught.value.code == "DeploymentNotFound"


async def test_the_longest_input_is_accepted_and_one_token_more_is_not(
    client: openai.AsyncOpenAI,
) -> None:
    full = await client.embeddings.create(model=SMALL, input=[1] * 8192)
    assert full.usage.prompt_tokens == 8192
    error = await refused(client, input=[[1], [1] * 8193])
    assert (error["status"], error["param"], error["code"]) == (
        400, "input[1]", "context_length_exceeded",
    )  # fmt: skip


async def test_an_input_that_is_too_long_is_shortened_where_nim_is_told_to(
    client: openai.AsyncOpenAI,
) -> None:
    start = await client.embeddings.create(
        model=SMALL, input=[2] + [1] * 8192, extra_body={"truncate": "END"}
    )
    assert start.usage.prompt_tokens == 8192


async def test_2048_texts_are_the_most_of_one_request(client: openai.AsyncOpenAI) -> None:
    reply = await client.embeddings.create(
        model=SMALL, input=[f"text {k}" for k in range(2048)], dimensions=8
    )
    assert len(reply.data) == 2048
    error = await refused(client, input=["x"] * 2049)
    assert error["code"] == "array_above_max_length"


@pytest.mark.parametrize(
    ("arguments", "param", "code"),
    [
        ({"input": ""}, "input", "empty_string"),
        ({"input": ["a", ""]}, "input[1]", "empty_string"),
        ({"input": []}, "input", "empty_array"),
        ({"input": [[]]}, "input[0]", "empty_array"),
        ({"input": None}, "input", "invalid_type"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": {"a": 1}}, "input", "invalid_type"),
        ({"input": ["a", 1]}, "input[1]", "invalid_type"),
        ({"input": [1, "a"]}, "input[1]", "invalid_type"),
        ({"input": [[1], "a"]}, "input[1]", "invalid_type"),
        ({"input": [[1], [1.5]]}, "input[1][0]", "invalid_type"),
        ({"input": [True]}, "input[0]", "invalid_type"),
        ({"input": [10**9]}, "input[0]", "invalid_value"),
        ({"input": [10**18]}, "input[0]", "invalid_value"),
        ({"input": [1, -1]}, "input[1]", "invalid_value"),
        ({"input": "a", "dimensions": 0}, "dimensions", "integer_below_min_value"),
        ({"input": "a", "dimensions": 1537}, "dimensions", "integer_above_max_value"),
        ({"input": "a", "dimensions": "8"}, "dimensions", "invalid_type"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"input": "a", "model": "text-embedding-ada-002", "dimensions": 8}, None, None),
        ({"input": "a", "model": "gpt-4o"}, "model", None),
        ({"input": "a", "model": "nope"}, None, "model_not_found"),
        ({"input": "a", "model": 5}, "model", "invalid_type"),
        ({"input": "a", "extra_body": {"colour": 1}}, None, None),
        ({"input": [[1] * 8000] * 38}, None, "max_tokens_per_request"),
    ],
)
async def test_what_cannot_be_embedded_is_refused(
    client: openai.AsyncOpenAI, arguments: dict[str, Any], param: str | None, code: str | None
) -> None:
    error = await refused(client, **arguments)
    assert (error["param"], error["code"]) == (param, code)


async def test_missing_fields_are_named(serve: Serve) -> None:
    app = await serve(mode="synth")
    async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
        for body, param in (({"model": SMALL}, "input"), ({"input": "a"}, "model")):
            reply = await http.post(f"{app.url}/v1/embeddings", json=body)
            error = reply.json()["error"]
            assert (reply.status_code, error["param"]) == (400, param)
            assert error["code"] == "missing_required_parameter"
        empty = await http.post(f"{app.url}/v1/embeddings")
        assert empty.json()["error"]["message"] == "you must provide a model parameter"


async def test_parameters_of_nim_are_accepted_unless_parameters_are_strict(serve: Serve) -> None:
    body = {"model": SMALL, "input": "a", "input_type": "query", "truncate": "NONE"}
    for strict, status in ((False, 200), (True, 400)):
        app = await serve(mode="synth", strict_parameters=strict)
        async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
            reply = await http.post(f"{app.url}/v1/embeddings", json=body)
        assert reply.status_code == status


async def test_the_workload_is_the_prompt_and_no_output() -> None:
    ended = Ended()
    async with serving(observer=ended, mode="synth") as app:
        client = openai.AsyncOpenAI(base_url=f"{app.url}/v1", api_key="k", max_retries=0)
        await client.embeddings.create(model=SMALL, input=["hello world", "again"])
    reply = ended.exchanges[0].reply
    assert reply is not None
    assert reply.workload is not None
    assert [list(part.prompt) for part in reply.workload.parts] == [
        BPE.encode_ordinary("hello world"), BPE.encode_ordinary("again"),
    ]  # fmt: skip
    assert reply.workload.output_tokens == 0


NEMO = "nvidia/llama-3.2-nv-embedqa-1b-v2"


async def test_an_asymmetric_model_is_told_what_a_text_is(client: openai.AsyncOpenAI) -> None:
    error = await refused(client, model=NEMO, input="a")
    assert "'input_type' parameter is required" in error["message"]
    vectors = {}
    for role in ("query", "passage"):
        reply = await client.embeddings.create(
            model=NEMO, input="how to bake bread", extra_body={"input_type": role}
        )
        vectors[role] = numpy.array(reply.data[0].embedding)
    assert 0.99 < vectors["query"] @ vectors["passage"] < 1
    error = await refused(client, model=NEMO, input="a", extra_body={"input_type": "poem"})
    assert error["param"] == "input_type"


async def test_what_is_too_long_is_said_as_nvidia_does(client: openai.AsyncOpenAI) -> None:
    error = await refused(client, model=NEMO, input=[1] * 8193, extra_body={"input_type": "query"})
    assert error["message"] == "Input length 8193 exceeds maximum allowed token size 8192"


@pytest.mark.parametrize(
    ("kind", "least", "most", "length"),
    [
        ("int8", -127, 127, 64),
        ("uint8", 1, 255, 64),
        ("binary", -128, 127, 8),
        ("ubinary", 0, 255, 8),
    ],
)
async def test_numbers_may_be_bytes_or_bits(
    client: openai.AsyncOpenAI, kind: str, least: int, most: int, length: int
) -> None:
    asked: dict[str, Any] = {"model": NEMO, "input": "a lighthouse", "dimensions": 64}
    floats = await client.embeddings.create(
        **asked, encoding_format="float", extra_body={"input_type": "query"}
    )
    small = await client.embeddings.create(
        **asked, encoding_format="float", extra_body={"input_type": "query", "embedding_type": kind}
    )
    numbers = numpy.array(small.data[0].embedding)
    assert len(numbers) == length
    assert least <= numbers.min() <= numbers.max() <= most
    if length == 64:
        centred = numbers - (128 if kind == "uint8" else 0)
        whole = numpy.array(floats.data[0].embedding)
        assert centred @ whole / numpy.linalg.norm(centred) > 0.99
    else:
        bits = numpy.unpackbits((numbers + (128 if kind == "binary" else 0)).astype(numpy.uint8))
        assert (bits == (numpy.array(floats.data[0].embedding) > 0)).all()


async def test_the_bytes_of_base64_may_be_shorter_and_the_other_way_round(
    client: openai.AsyncOpenAI,
) -> None:
    async def packed(**extra: Any) -> bytes:
        raw = await client.embeddings.with_raw_response.create(
            model=SMALL, input="a lighthouse", encoding_format="base64", extra_body=extra
        )
        return base64.b64decode(json.loads(raw.content)["data"][0]["embedding"])

    whole = numpy.frombuffer(await packed(), "<f4")
    assert (numpy.frombuffer(await packed(endianness="big"), ">f4") == whole).all()
    half = numpy.frombuffer(await packed(embed_dtype="float16"), "<f2")
    assert numpy.allclose(half, whole, atol=1e-3)
    upper = numpy.frombuffer(await packed(embed_dtype="bfloat16"), "<u2").astype("<u4") << 16
    assert numpy.allclose(upper.view("<f4"), whole, atol=1e-3)


async def test_vllm_keeps_the_last_tokens_that_it_is_told_to(client: openai.AsyncOpenAI) -> None:
    ids = BPE.encode_ordinary("one two three four five")
    kept = await client.embeddings.create(
        model=SMALL, input=ids, extra_body={"truncate_prompt_tokens": 2}
    )
    assert kept.usage.prompt_tokens == 2
    last = await client.embeddings.create(model=SMALL, input=ids[-2:])
    assert kept.data[0].embedding == last.data[0].embedding
    for wrong in (0, 9000):
        error = await refused(client, input="a", extra_body={"truncate_prompt_tokens": wrong})
        assert error["param"] == "truncate_prompt_tokens"


async def test_a_modality_is_of_text_and_one_for_each_input(client: openai.AsyncOpenAI) -> None:
    await client.embeddings.create(
        model=SMALL, input=["a", "b"], extra_body={"modality": ["text", "text"]}
    )
    for modality in (["text"], ["image", "text"], "image"):
        error = await refused(client, input=["a", "b"], extra_body={"modality": modality})
        assert error["status"] == 400


@pytest.mark.parametrize("kind", ["hashed", "semantic"])
def test_a_batch_is_its_inputs_and_counts_their_tokens(kind: str) -> None:
    with threaded_app(embedder=kind) as url:
        blocking = openai.OpenAI(
            base_url=f"{url}/v1", api_key="k", max_retries=0, _strict_response_validation=True
        )

        @settings(max_examples=15, deadline=None)
        @given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4))
        def holds(texts: list[str]) -> None:
            # The SDK is strict about types before it unpacks the base64 that it asks for by itself.
            asked: dict[str, Any] = {"model": SMALL, "dimensions": 64, "encoding_format": "float"}
            reply = blocking.embeddings.create(**asked, input=texts)
            each = [blocking.embeddings.create(**asked, input=text) for text in texts]
            assert [item.embedding for item in reply.data] == [
                one.data[0].embedding for one in each
            ]
            counts = [len(BPE.encode_ordinary(text)) for text in texts]
            assert reply.usage.prompt_tokens == sum(counts)
            assert [one.usage.prompt_tokens for one in each] == counts

        holds()
