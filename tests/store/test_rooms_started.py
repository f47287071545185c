"""What the rooms of the started program remember after it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.services.asking import ASK
from tests.services.audio_asking import STRANGER
from tests.store.test_started import client_of, started

QUESTION = "Tell me about lighthouses."
_LOOKS_MAX = 20_000


def _made(client: OpenAI) -> dict[str, str]:
    conversation = client.conversations.create(
        items=[{"role": "user", "content": "I keep lighthouses."}], metadata={"about": "lamps"}
    )
    client.responses.create(model="gpt-4o", input="And you?", conversation=conversation.id)
    first = client.responses.create(model="gpt-4o", input=QUESTION)
    second = client.responses.create(
        model="gpt-4o", input="Why?", previous_response_id=first.id, metadata={"k": "v"}
    )
    cut = client.responses.create(model="gpt-4o", input=QUESTION, max_output_tokens=17)
    gone = client.responses.create(model="gpt-4o", input="Goodbye")
    client.responses.delete(gone.id)
    completion = client.chat.completions.create(
        model="gpt-4o", messages=ASK, store=True, metadata={"about": "lamps"}
    )
    consent = client.audio.voice_consents.create(
        name="Ada", language="en-US", recording=("consent.mp3", STRANGER)
    )
    voice = client.audio.voices.create(
        name="Ada's", audio_sample=("sample.mp3", STRANGER), consent=consent.id
    )
    video = client.videos.create(prompt="A red car by the sea")
    drawn = client.images.generate(model="dall-e-2", prompt="A red car", size="256x256").data
    assert drawn is not None
    assert drawn[0].url is not None
    return {
        "image": httpx.URL(drawn[0].url).path,
        "conversation": conversation.id, "first": first.id, "second": second.id, "cut": cut.id,
        "gone": gone.id, "completion": completion.id, "consent": consent.id, "voice": voice.id,
        "video": video.id,
    }  # fmt: skip


def _remembered(client: OpenAI, made: dict[str, str]) -> dict[str, Any]:
    """All that the API tells of it."""
    name = made["conversation"]
    counted = client.responses.input_tokens
    return {
        "conversation": client.conversations.retrieve(name),
        "items": list(client.conversations.items.list(name)),
        "response": client.responses.retrieve(made["second"]),
        "inputs": list(client.responses.input_items.list(made["second"])),
        "events": list(client.responses.retrieve(made["second"], stream=True)),
        "cut": list(client.responses.retrieve(made["cut"], stream=True, starting_after=5)),
        "completion": client.chat.completions.retrieve(made["completion"]),
        "completions": list(client.chat.completions.list(metadata={"about": "lamps"})),
        "messages": client.chat.completions.messages.list(made["completion"]).data[0].content,
        "image": httpx.get(str(client.base_url.join(made["image"]))).raise_for_status().content,
        "video": client.videos.retrieve(made["video"]),
        "picture": client.videos.download_content(made["video"], variant="thumbnail").read(),
        "consents": list(client.audio.voice_consents.list()),
        "heard": counted.count(model="gpt-4o", input="So?", previous_response_id=made["second"]),
        "read": counted.count(model="gpt-4o", input="So?", conversation=name),
        "spoken": client.audio.speech.create(
            model="gpt-4o-mini-tts", voice={"id": made["voice"]}, input="Hi", response_format="pcm"
        ).read(),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_said_outlives_a_kill(tmp_path: Path) -> None:
    with started(tmp_path) as program, client_of(program) as client:
        made = _made(client)
        before = _remembered(client, made)
        program.kill()
    with started(tmp_path) as program, client_of(program) as client:
        after = _remembered(client, made)
        for name, said in before.items():
            assert after[name] == said, name
        with pytest.raises(NotFoundError):
            client.responses.retrieve(made["gone"])
        with pytest.raises(BadRequestError, match="Previous response with id"):
            client.responses.create(model="gpt-4o", input="?", previous_response_id=made["gone"])
        # The same again, under ids of its own.
        again = client.responses.create(model="gpt-4o", input=QUESTION)
        assert again.id != made["first"]
        assert again.output_text == client.responses.retrieve(made["first"]).output_text
        other = client.chat.completions.create(model="gpt-4o", messages=ASK, store=True)
        assert other.id != made["completion"]


def test_what_is_done_in_the_background_goes_on_after_a_kill(tmp_path: Path) -> None:
    with started(tmp_path) as program, client_of(program) as client:
        conversation = client.conversations.create()
        made = client.responses.create(
            model="gpt-4o", input=QUESTION, background=True, max_output_tokens=16,
            conversation=conversation.id,
        )  # fmt: skip
        assert made.status == "queued"
        program.kill()
    with started(tmp_path) as program, client_of(program) as client:
        for _ in range(_LOOKS_MAX):
            found = client.responses.retrieve(made.id)
            if found.status not in ("queued", "in_progress"):
                break
        assert found.status == "incomplete"
        assert found.usage is not None
        assert found.usage.output_tokens == 16
        items = list(client.conversations.items.list(conversation.id))
        assert [item.type for item in items] == ["message", "message"]
        assert client.responses.cancel(made.id) == found


def test_what_is_not_to_be_stored_makes_no_store(tmp_path: Path) -> None:
    with started(tmp_path) as program, client_of(program) as client:
        client.responses.create(model="gpt-4o", input=QUESTION, store=False)
        for _ in client.responses.create(model="gpt-4o", input=QUESTION, store=False, stream=True):
            pass
        client.chat.completions.create(model="gpt-4o", messages=ASK)
        assert not (tmp_path / "state.db").exists()
