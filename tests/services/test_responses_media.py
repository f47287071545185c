"""Pictures, recordings and documents within the items of a response's input: what they cost, what is said
about them, how bad ones are refused, and what is left of them in a thread."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.services.asking import count
from tests.services.media import document, mp3, picture, wav

IMAGE = {"type": "input_image", "image_url": picture(640, 480, "blue")}
#: Of a picture of 640 x 480 to gpt-4o and gpt-4o-mini.
TILES, MINI_TILES = 85 + 2 * 170, 2833 + 2 * 5667


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", model=("gpt-4o-audio-preview",))


def shown(*parts: dict[str, Any], text: str = "What is this?") -> Any:
    return [{"role": "user", "content": [{"type": "input_text", "text": text}, *parts]}]


async def cost(client: AsyncOpenAI, sent: Any, **body: Any) -> tuple[int, str]:
    """Input tokens, and what is answered."""
    answer = await client.responses.create(**{"model": "gpt-4o", "input": sent, **body})
    assert answer.usage is not None
    return answer.usage.input_tokens, answer.output_text


async def test_an_answer_speaks_of_the_picture_that_it_was_shown(client: AsyncOpenAI) -> None:
    bare, _ = await cost(client, shown())
    whole, said = await cost(client, shown(IMAGE))
    assert whole - bare == TILES
    assert "640 by 480 pixels, mostly blue" in said
    low, _ = await cost(client, shown({**IMAGE, "detail": "low"}))
    assert low - bare == 85
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=shown(IMAGE))
    assert counted.input_tokens == whole


async def test_a_tool_may_answer_with_a_picture(client: AsyncOpenAI) -> None:
    def answered(output: Any) -> Any:
        return [
            {"role": "user", "content": "Take a picture."},
            {"type": "function_call", "call_id": "c1", "name": "photograph", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": output},
        ]

    text = {"type": "input_text", "text": "Done."}
    bare, _ = await cost(client, answered([text]))
    whole, said = await cost(client, answered([text, IMAGE]))
    assert whole - bare == TILES
    assert "640 by 480 pixels, mostly blue" in said


async def test_in_a_thread_a_picture_costs_again_and_each_model_its_own(
    client: AsyncOpenAI,
) -> None:
    starts = {}
    for name, parts in (("bare", ()), ("whole", (IMAGE,))):
        starts[name] = await client.responses.create(
            model="gpt-4o", input=shown(*parts), max_output_tokens=16
        )
    for model, tokens in (("gpt-4o", TILES), ("gpt-4o-mini", MINI_TILES), ("gpt-4o", TILES)):
        costs = {}
        for name, start in starts.items():
            costs[name], said = await cost(
                client, "And then?", model=model, previous_response_id=start.id
            )
            assert "pixels" not in said
        words = [count(start.output_text) for start in starts.values()]
        assert costs["whole"] - costs["bare"] == tokens + words[1] - words[0]


async def test_a_conversation_keeps_a_picture(client: AsyncOpenAI) -> None:
    costs = []
    for parts in ((), (IMAGE,)):
        conversation = await client.conversations.create(items=shown(*parts))
        tokens, _ = await cost(client, "And then?", conversation=conversation.id)
        costs.append(tokens)
    assert costs[1] - costs[0] == TILES


async def test_a_bad_picture_that_is_kept_is_no_trouble_later(client: AsyncOpenAI) -> None:
    bad = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    conversation = await client.conversations.create(items=shown(bad))
    _, said = await cost(client, "And then?", conversation=conversation.id)
    assert said


async def test_a_document_costs_its_text_and_a_picture_of_each_page(client: AsyncOpenAI) -> None:
    words = "The tenant waters the tomatoes. " * 40
    costs = []
    for pages in (1, 3):
        file = {"type": "input_file", "file_data": document(words, pages), "filename": "terms.pdf"}
        tokens, said = await cost(client, shown(file))
        costs.append(tokens)
        assert f"has {pages} page" in said
    assert (costs[1] - costs[0]) // 2 > count(words)


@pytest.mark.parametrize(
    ("data", "form", "seconds"),
    [(wav(2.5), "wav", 2.5), (mp3(100), "mp3", 100 * 1152 / 44_100)],
    ids=["wav", "mp3"],
)
async def test_a_recording_costs_ten_tokens_a_second(
    client: AsyncOpenAI, data: str, form: str, seconds: float
) -> None:
    part = {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    bare, _ = await cost(client, shown(), model="gpt-4o-audio-preview")
    whole, said = await cost(client, shown(part), model="gpt-4o-audio-preview")
    assert whole - bare == 1 + int(seconds * 10)
    assert f"{seconds:.1f} seconds" in said


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        ({"image_url": "data:image/png;base64,@@@"}, "image_url", "invalid_base64"),
        ({"image_url": "data:text/plain;base64,AAAA"}, "image_url", "invalid_value"),
        ({"image_url": "not a url"}, "image_url", "invalid_value"),
        ({"detail": "low"}, "image_url", "missing_required_parameter"),
        ({"type": "input_file", "filename": "a.pdf"}, "file_id", "missing_required_parameter"),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "AA"}, "file_data",
         "invalid_value"),
        ({"type": "input_file", "file_data": document("x")}, "filename",
         "missing_required_parameter"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "type", None),
    ],
)  # fmt: skip
async def test_a_bad_one_is_refused_by_the_path_to_it(
    client: AsyncOpenAI, part: dict[str, Any], param: str, code: str | None
) -> None:
    sent: Any = [{"role": "user", "content": "Look:"}, *shown({"type": "input_image", **part})]
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model="gpt-4o", input=sent)
    assert (caught.value.param, caught.value.code) == (f"input[1].content[1].{param}", code)


async def test_what_is_no_picture_is_refused_in_the_words_of_the_vendor(
    client: AsyncOpenAI,
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(
            model="gpt-4o",
            input=shown({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
        )
    assert caught.value.code == "invalid_image_format"


async def test_models_that_cannot_see_say_so(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError, match="only supported by certain models"):
        await client.responses.create(model="gpt-3.5-turbo", input=shown(IMAGE))
