"""Completions under the official SDK."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Admission
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings
from fakeai_proxy.services.completions import OPERATIONS
from fakeai_proxy.services.completions.plan import plan
from fakeai_proxy.services.completions.speech import speak
from fakeai_proxy.services.completions.wire import CompletionRequest
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.records import Records
from fakeai_proxy.store import open_store
from tests.conftest import Serve
from tests.services import refusing
from tests.services.threaded import threaded_app

HOSTED = "gpt-3.5-turbo-instruct"
OWN = "meta-llama/Llama-3.1-8B-Instruct"
#: Text of all the choices, as the model's own tokens.
VOCABULARIES = {"gpt-4o": "o200k_base", HOSTED: "cl100k_base", OWN: "llama3"}
USAGE: Any = {"include_usage": True}
#: Tokens of a character whose last is missing: they are made and paid for, and nothing is to be seen of
#: them. In UTF-8 a character has four bytes at most.
UNFINISHED_MAX = 3
CATALOGUE = Catalogue.shipped(CatalogueSettings())
#: Never opened: this room keeps nothing.
STORE = open_store(None, VirtualClock())


def count(text: str, model: str = HOSTED) -> int:
    return Tokens.load(VOCABULARIES[model]).count(text)


@pytest.fixture
async def lax(app: App) -> AsyncIterator[AsyncOpenAI]:
    """The SDK's type has no null for the end that a chunk has not yet, so it cannot be strict."""
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test", max_retries=0) as made:
        yield made


async def complete(client: AsyncOpenAI, **body: Any) -> Completion:
    given: dict[str, Any] = {"model": HOSTED, "prompt": "Lighthouse keepers are", **body}
    answer: Completion = await client.completions.create(**given)
    return answer


async def streamed(client: AsyncOpenAI, **body: Any) -> tuple[dict[int, str], list[Completion]]:
    """The text by choice, and all chunks."""
    chunks = [
        chunk
        async for chunk in await complete(  # type: ignore[attr-defined]  # a stream, as asked
            client, stream=True, stream_options=USAGE, **body
        )
    ]
    said: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + choice.text
    return said, chunks


async def refused(client: AsyncOpenAI, **body: Any) -> tuple[int, str | None, str]:
    """Status, param and message of the refusal."""
    status, param, _, message = await refusing.refused(complete(client, **body))
    return status, param, message


async def test_an_answer_has_every_field_and_sixteen_tokens(client: AsyncOpenAI) -> None:
    answer = await complete(client)
    assert answer.id.startswith("cmpl-")
    assert (answer.object, answer.model) == ("text_completion", HOSTED)
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert choice.text.startswith((" ", ","))
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == count("Lighthouse keepers are")
    assert answer.usage.completion_tokens == count(choice.text) == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16


async def test_a_prompt_is_gone_on_with_at_its_end(client: AsyncOpenAI) -> None:
    for prompt, start in (
        ("The sea is calm.", " "),
        ("What do lighthouse keepers do?", "\n\n"),
        ("Chapter 1\n", ""),
        ("The keeper said that", (" ", ",")),
    ):
        text = (await complete(client, prompt=prompt)).choices[0].text
        assert text.startswith(start)
        assert start != "" or text[0].isupper()


async def test_prompts_take_four_forms_and_choices_keep_their_order(client: AsyncOpenAI) -> None:
    words = Tokens.load("cl100k_base")
    texts = ["Harbours at night", "Bread needs time"]
    ids = [list(words.encode(text)) for text in texts]
    alone = await complete(client, prompt=texts[0])
    as_ids = await complete(client, prompt=ids[0])
    assert alone.usage == as_ids.usage
    for prompt in (texts, ids):
        answer = await complete(client, prompt=prompt, n=3, echo=True, max_tokens=30)
        assert [choice.index for choice in answer.choices] == list(range(6))
        for k, choice in enumerate(answer.choices):
            assert choice.text.startswith(texts[k // 3])
        assert len({choice.text for choice in answer.choices}) == 6
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == sum(map(len, ids))
        assert answer.usage.completion_tokens == 180


async def test_no_prompt_begins_a_document(client: AsyncOpenAI) -> None:
    for prompt in (None, "", [""]):
        answer = await complete(client, prompt=prompt)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 1
        assert answer.choices[0].text[0].isupper()


async def test_the_best_of_several_are_given_and_all_are_paid_for(client: AsyncOpenAI) -> None:
    many = await complete(client, n=5, max_tokens=10, logprobs=0)
    best = await complete(client, n=2, best_of=5, max_tokens=10, logprobs=0)
    assert many.usage is not None
    assert best.usage is not None
    assert best.usage.completion_tokens == many.usage.completion_tokens == 50

    def likelihood(choice: Any) -> float:
        return float(sum(choice.logprobs.token_logprobs))

    assert len(best.choices) == 2
    assert likelihood(best.choices[0]) >= likelihood(best.choices[1])


async def test_an_echo_shows_the_prompt(client: AsyncOpenAI) -> None:
    answer = await complete(client, echo=True, max_tokens=0)
    assert answer.choices[0].text == "Lighthouse keepers are"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


async def test_a_suffix_is_read(client: AsyncOpenAI) -> None:
    plain = await complete(client)
    with_suffix = await complete(client, suffix=" and that is all.")
    assert plain.usage is not None
    assert with_suffix.usage is not None
    more = with_suffix.usage.prompt_tokens - plain.usage.prompt_tokens
    assert more == count(" and that is all.")


@pytest.mark.parametrize("top", [0, 1, 5])
async def test_logprobs_have_their_old_shape(client: AsyncOpenAI, top: int) -> None:
    answer = await complete(client, logprobs=top, temperature=1.5)
    (choice,) = answer.choices
    said = choice.logprobs
    assert said is not None
    assert said.tokens is not None
    assert said.text_offset is not None
    assert said.token_logprobs is not None
    assert "".join(said.tokens) == choice.text
    start = len("Lighthouse keepers are")
    assert said.text_offset[0] == start
    for offset, token in zip(said.text_offset, said.tokens, strict=True):
        assert choice.text[offset - start :].startswith(token)
    assert all(logprob <= 0 for logprob in said.token_logprobs)
    if top == 0:
        assert said.top_logprobs is None
        return
    assert said.top_logprobs is not None
    for token, logprob, listed in zip(
        said.tokens, said.token_logprobs, said.top_logprobs, strict=True
    ):
        assert listed[token] == logprob
        assert top <= len(listed) <= top + 1


async def test_an_echo_has_logprobs_of_the_prompt(lax: AsyncOpenAI) -> None:
    for max_tokens in (0, 4):
        answer = await complete(lax, echo=True, logprobs=2, max_tokens=max_tokens)
        said = answer.choices[0].logprobs
        assert said is not None
        assert said.tokens is not None
        assert said.token_logprobs is not None
        assert said.top_logprobs is not None
        assert "".join(said.tokens) == answer.choices[0].text
        assert said.text_offset is not None
        assert said.text_offset[0] == 0
        assert said.token_logprobs[0] is said.top_logprobs[0] is None
        assert all(logprob <= 0 for logprob in said.token_logprobs[1:])
        said_in_parts, _ = await streamed(lax, echo=True, logprobs=2, max_tokens=max_tokens)
        assert said_in_parts[0] == answer.choices[0].text or max_tokens


async def test_a_stream_is_the_answer_in_pieces(lax: AsyncOpenAI) -> None:
    said, chunks = await streamed(lax, max_tokens=40)
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    *text, end, usage = chunks
    assert all(chunk.choices[0].finish_reason is None for chunk in text)
    assert all(chunk.usage is None for chunk in (*text, end))
    assert (end.choices[0].text, end.choices[0].finish_reason) == ("", "length")
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == len(text) == count(said[0]) == 40


async def test_chunks_count_the_tokens_so_far_where_vllm_would(lax: AsyncOpenAI) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    counts: list[tuple[int, int]] = []
    async for chunk in await complete(  # type: ignore[attr-defined]  # a stream, as asked
        lax, model=OWN, max_tokens=3, stream=True, stream_options=options
    ):
        counts.append((chunk.usage.completion_tokens, chunk.usage.prompt_tokens))
    assert [made for made, _ in counts] == [1, 2, 3, 3, 3]
    assert len({prompt for _, prompt in counts}) == 1


async def test_streamed_logprobs_are_those_of_their_piece(lax: AsyncOpenAI) -> None:
    _, chunks = await streamed(lax, logprobs=3, max_tokens=12)
    offset = len("Lighthouse keepers are")
    for chunk in chunks[:-2]:
        (choice,) = chunk.choices
        assert choice.logprobs is not None
        assert (choice.logprobs.tokens, choice.logprobs.text_offset) == ([choice.text], [offset])
        offset += len(choice.text)


async def test_strings_that_stop_never_appear(client: AsyncOpenAI) -> None:
    for stop in (" the", [" ", "the"], [".", "\n"]):
        answer = await complete(client, max_tokens=200, stop=stop)
        text = answer.choices[0].text
        assert not any(end in text for end in ([stop] if isinstance(stop, str) else stop))
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == count(text)


@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 100, 333])
@pytest.mark.parametrize("model", [HOSTED, OWN])
async def test_a_benchmark_gets_the_tokens_it_asks_for(
    client: AsyncOpenAI, tokens: int, model: str
) -> None:
    extra = {"min_tokens": tokens, "ignore_eos": True}
    answer = await complete(client, model=model, max_tokens=tokens, extra_body=extra)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == tokens
    assert answer.choices[0].finish_reason == "length"
    chat = await client.chat.completions.create(
        model=OWN if model == OWN else "gpt-4o", max_tokens=tokens, extra_body=extra,
        messages=[{"role": "user", "content": "Say something."}],
    )  # fmt: skip
    assert chat.usage is not None
    assert chat.usage.completion_tokens == tokens
    assert chat.choices[0].finish_reason == "length"


async def test_a_form_is_kept(client: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"guided_choice": ["yes", "no"]}, "yes|no"),
        ({"guided_regex": "[a-f]{3}-[0-9]{2}"}, "[a-f]{3}-[0-9]{2}"),
        ({"guided_json": schema}, r'\{"age":-?\d+\}'),
        ({"guided_grammar": 'root ::= ("yes" | "no") "!"'}, "(yes|no)!"),
        ({"structured_outputs": {"grammar": 'start: "go" /[0-9]+/'}}, "go[0-9]+"),
        ({"structured_outputs": {"choice": ["red"]}}, "red"),
        ({"structured_outputs": {"regex": "x{4}"}}, "xxxx"),
        ({"structured_outputs": {"json": schema}}, r'\{"age":-?\d+\}'),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}},
         r'\{"age":-?\d+\}'),
    ]  # fmt: skip
    for extra, pattern in cases:
        answer = await complete(client, model=OWN, max_tokens=100, extra_body=extra)
        assert_matches(answer.choices[0].text, pattern)
        chat = await client.chat.completions.create(
            model=OWN, messages=[{"role": "user", "content": "How old?"}], extra_body=extra
        )
        assert_matches(chat.choices[0].message.content or "", pattern)


def assert_matches(text: str, pattern: str) -> None:
    assert re.fullmatch(pattern, text), text


async def test_token_ids_are_given_back(client: AsyncOpenAI) -> None:
    words = Tokens.load("llama3")
    extra = {"return_token_ids": True, "prompt_logprobs": 1}
    answer = await complete(client, model=OWN, extra_body=extra)
    choice: Any = answer.choices[0]
    assert words.decode(choice.token_ids) == choice.text
    assert choice.prompt_token_ids[0] == 128000
    assert words.decode(choice.prompt_token_ids[1:]) == "Lighthouse keepers are"
    assert len(choice.prompt_logprobs) == len(choice.prompt_token_ids)
    assert choice.prompt_logprobs[0] is None
    assert choice.prompt_logprobs[1][str(choice.prompt_token_ids[1])]["logprob"] <= 0
    plain = await complete(client, model=OWN, extra_body={"add_special_tokens": False})
    assert plain.usage is not None
    assert plain.usage.prompt_tokens == len(choice.prompt_token_ids) - 1
    short = await complete(client, model=OWN, extra_body={"truncate_prompt_tokens": 2})
    assert short.usage is not None
    assert short.usage.prompt_tokens == 2


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"n": 3, "best_of": 2}, "best_of", "more choices than it will generate"),
        ({"best_of": 2, "stream": True}, "stream", "'best_of' (currently 2) cannot be greater"),
        ({"best_of": 21}, "best_of", "<= 20"),
        ({"logprobs": 6}, "logprobs", "<= 5"),
        ({"logprobs": -1}, "logprobs", ">= 0"),
        ({"max_tokens": -1}, "max_tokens", ">= 0"),
        ({"max_tokens": 5000}, None, "however you requested 5005 tokens (5 in your prompt; 5000 for"),
        ({"prompt": "a " * 5000}, None, "maximum context length is 4096 tokens"),
        ({"prompt": []}, "prompt", "empty array"),
        ({"prompt": ["a"] * 2049}, "prompt", "maximum length 2048"),
        ({"prompt": ["a", 1]}, "prompt[1]", "expected a string"),
        ({"prompt": [[1], "a"]}, "prompt[1]", "an array of integers"),
        ({"prompt": [[]]}, "prompt[0]", "empty array"),
        ({"prompt": [1, "a"]}, "prompt[1]", "expected an integer"),
        ({"prompt": [1, 10**9]}, "prompt[1]", "not a token id"),
        ({"prompt": [1, -1]}, "prompt[1]", "not a token id"),
        ({"prompt": {"a": 1}}, "prompt", "expected one of a string"),
        ({"prompt": True}, "prompt", "expected one of a string"),
        ({"stop": list("abcde")}, "stop", "maximum length 4"),
        ({"temperature": 3}, "temperature", "<= 2"),
        ({"n": 129}, "n", "<= 128"),
        ({"stream_options": USAGE}, "stream_options", "only allowed when"),
        ({"extra_body": {"messages": []}}, None, "Unrecognized request argument supplied: messages"),
        ({"extra_body": {"min_tokens": 9}, "max_tokens": 3}, None, "less than or equal to max_tokens=3"),
        ({"extra_body": {"guided_regex": "(", "guided_choice": ["a"]}}, None, "one kind"),
        ({"extra_body": {"guided_regex": "("}}, None, "Invalid regex"),
        ({"extra_body": {"guided_grammar": "root ::= (("}}, None, "Invalid grammar"),
        ({"extra_body": {"guided_grammar": "start: nothing"}}, None, "Invalid grammar"),
        ({"extra_body": {"guided_json": "[]"}}, None, "no JSON object"),
        ({"prompt": ["a"] * 2000, "n": 128, "max_tokens": 4000, "extra_body": {"ignore_eos": True}},
         "n", "more than 262144 tokens"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], param: str | None, words: str
) -> None:
    status, at, message = await refused(client, **body)
    assert (status, at) == (400, param)
    assert words in message


async def test_chat_models_of_openai_complete_nothing(client: AsyncOpenAI) -> None:
    status, param, message = await refused(client, model="gpt-4o")
    assert (status, param) == (404, "model")
    assert "chat model and not supported" in message
    with pytest.raises(openai.NotFoundError, match="v1/completions"):
        await client.chat.completions.create(
            model=HOSTED, messages=[{"role": "user", "content": "a"}]
        )


async def test_strict_parameters_refuse_what_only_vllm_knows(serve: Serve) -> None:
    app = await serve(mode="synth", strict_parameters=True)
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test", max_retries=0) as client:
        for extra in ({"ignore_eos": True}, {"top_k": 4}, {"guided_choice": ["a"]}):
            status, _, message = await refused(client, extra_body=extra)
            name = next(iter(extra))
            assert (status, message) == (400, f"Unrecognized request argument supplied: {name}")


async def test_a_fleet_works_on_every_prompt(serve: Serve) -> None:
    """And tells of the part of each prompt that it had before."""
    app = await serve(mode="synth", profile="quick")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test", max_retries=0) as client:
        prompts = [f"{name} " + "and the sea " * 100 for name in ("Anna", "Boris", "Clara")]
        for known in (False, True):
            # In another order: what counts is each prompt, not how the request begins.
            prompts.reverse()
            said, chunks = await streamed(client, model=OWN, prompt=prompts, n=2, max_tokens=20)
            assert sorted(said) == list(range(6))
            usage = chunks[-1].usage
            assert usage is not None
            assert usage.completion_tokens == 120
            assert usage.prompt_tokens_details is not None
            cached = usage.prompt_tokens_details.cached_tokens or 0
            assert (cached > 3 * 250) is known
        empty = await complete(client, prompt=prompts, model=OWN, max_tokens=0, echo=True)
        assert [choice.text for choice in empty.choices] == prompts


def test_the_synchronous_client_works_too() -> None:
    with (
        threaded_app() as url,
        OpenAI(
            base_url=url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        answer = client.completions.create(model=HOSTED, prompt="The sea", max_tokens=9)
        assert count(answer.choices[0].text) == 9
        with pytest.raises(openai.BadRequestError):
            client.completions.create(model=HOSTED, prompt=[], max_tokens=9)


_prompt = st.one_of(
    st.text(max_size=40),
    st.lists(st.text(max_size=20), min_size=1, max_size=3),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(0, 100_000), min_size=1, max_size=6), min_size=1, max_size=3),
)


@given(
    prompt=_prompt,
    model=st.sampled_from([HOSTED, OWN]),
    max_tokens=st.integers(0, 200),
    n=st.integers(1, 3),
    stop=st.none() | st.lists(st.sampled_from([" the", ".", "\n", "e", "q"]), min_size=1, max_size=4),
    echo=st.booleans(),
    logprobs=st.none() | st.integers(0, 5),
    ignore_eos=st.booleans(),
)  # fmt: skip
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_usage_is_the_count_of_the_text_streamed_or_not(
    sync: OpenAI, echo: bool, ignore_eos: bool, **body: Any
) -> None:
    body = {key: value for key, value in body.items() if value is not None}
    extra = {"ignore_eos": ignore_eos}
    ask = sync.completions.with_raw_response
    whole = ask.create(**body, echo=echo, extra_body=extra).parse()
    said: dict[int, str] = {}
    ends: dict[int, str] = {}
    usage = None
    pieces = 0
    for chunk in sync.completions.create(
        **body, echo=echo, extra_body=extra, stream=True, stream_options=USAGE
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert choice.index not in ends
            said[choice.index] = said.get(choice.index, "") + choice.text
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
        pieces += len(chunk.choices)
    assert usage is not None
    assert whole.usage is not None
    choices = len(whole.choices)
    assert len(said) == len(ends) == choices
    assert pieces == usage.completion_tokens + choices * (2 if echo else 1)
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    for counted in (usage, whole.usage):
        assert counted.completion_tokens <= body["max_tokens"] * choices
        assert counted.total_tokens == counted.prompt_tokens + counted.completion_tokens
    if ignore_eos and "stop" not in body:
        assert whole.usage.completion_tokens == body["max_tokens"] * choices
    if not echo:
        told = [choice.text for choice in whole.choices], list(said.values())
        finishes = [choice.finish_reason for choice in whole.choices], list(ends.values())
        for texts, why, counted in zip(told, finishes, (whole.usage, usage), strict=True):
            spoken = sum(count(text, body["model"]) for text in texts)
            unseen = counted.completion_tokens - spoken
            assert 0 <= unseen <= UNFINISHED_MAX * list(why).count("length")


@pytest.mark.parametrize("limit", range(16, 27))
def test_an_answer_that_is_cut_within_a_character_counts_what_was_made_of_it(
    sync: OpenAI, limit: int
) -> None:
    """The prompt is what the answer speaks of: letters of several tokens each."""
    cut = sync.completions.create(model=HOSTED, prompt="\U0001f984\U00013000", max_tokens=limit)
    chat = sync.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "\U0001f984\U00013000"}],
        max_tokens=limit,
    )
    said = chat.choices[0].message.content or ""
    for text, usage, model in (
        (cut.choices[0].text, cut.usage, HOSTED), (said, chat.usage, "gpt-4o"),
    ):  # fmt: skip
        assert usage is not None
        assert usage.completion_tokens == limit
        assert "\ufffd" not in text
        assert 0 <= limit - count(text, model) <= UNFINISHED_MAX


@given(
    prompt=_prompt,
    model=st.sampled_from([HOSTED, OWN]),
    max_tokens=st.integers(0, 120),
    n=st.integers(1, 3),
    stop=st.none() | st.lists(st.sampled_from([" the", ".", "e"]), min_size=1, max_size=3),
    echo=st.booleans(),
    logprobs=st.none() | st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_the_stream_of_a_plan_joined_is_the_whole_answer(**body: Any) -> None:
    request = CompletionRequest.model_validate(body)
    call = Call(
        OPERATIONS[0], {}, {}, request, CATALOGUE, Dice(7), b"what", b"which", 1_700_000_000,
        Records(), lambda: STORE, float,
    )  # fmt: skip
    made = plan(call)
    chunks = speak(call, made).chunks
    assert isinstance(chunks, list)
    ((whole, tokens, _),) = chunks
    assert isinstance(whole, bytes) or callable(whole)
    answer = orjson.loads(whole if isinstance(whole, bytes) else whole(Admission()))
    made.request = request.model_copy(update={"stream": True})
    frames = speak(call, made).chunks
    assert isinstance(frames, list)
    assert sum(frame.tokens for frame in frames) == tokens == made.completion_tokens
    assert frames[-1].data == b"data: [DONE]\n\n"
    joined = [_empty_choice(choice) for choice in answer["choices"]]
    for frame in frames[:-1]:
        assert isinstance(frame.data, bytes)
        assert frame.data.startswith(b"data: {")
        assert frame.data.endswith(b"}\n\n")
        for choice in orjson.loads(frame.data[len(b"data: ") :])["choices"]:
            _append(joined[choice["index"]], choice)
    assert joined == answer["choices"]


def _empty_choice(choice: dict[str, Any]) -> dict[str, Any]:
    logprobs = choice["logprobs"]
    if logprobs is not None:
        logprobs = {key: None if value is None else [] for key, value in logprobs.items()}
    return {"text": "", "index": choice["index"], "logprobs": logprobs, "finish_reason": None}


def _append(to: dict[str, Any], choice: dict[str, Any]) -> None:
    assert to["finish_reason"] is None
    to["text"] += choice["text"]
    to["finish_reason"] = choice["finish_reason"]
    for key, values in (choice["logprobs"] or {}).items():
        if values is not None:
            to["logprobs"][key] += values


@pytest.mark.parametrize("form", ['{"prompt":["a"]}', '{ "prompt" :\n [ "a" ] }'])
def test_several_prompts_are_worked_on_in_a_thread(form: str) -> None:
    (create,) = OPERATIONS
    assert create.is_heavy(form.encode())
    assert not create.is_heavy(b'{"prompt": "a"}')
    assert create.is_heavy(b'{"prompt": "%b"}' % (b"a" * 20_000))


@pytest.fixture(scope="module")
def sync() -> Any:
    with (
        threaded_app() as url,
        OpenAI(base_url=url + "/v1", api_key="sk-test", max_retries=0) as client,
    ):
        yield client
