"""The core of a realtime session: events in, events out."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.errors import of_kind
from fakeai_proxy.services.realtime.detection import Detector, TurnDetection
from fakeai_proxy.services.realtime.protocol import BETA
from fakeai_proxy.services.realtime.settings import Settings
from fakeai_proxy.services.realtime.sound import ALAW, PCM, ULAW, encoded, samples
from tests.services.realtime_driving import (
    CARD,
    TEXT,
    WEATHER,
    Driven,
    kinds,
    only,
    silence,
    tone,
)  # fmt: skip


def text_session() -> Driven:
    driven = Driven()
    driven.send("session.update", session=TEXT)
    return driven


def error_in(events: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = only(events, "error")["error"]
    return found


# --- answers


def test_a_written_answer_has_its_events_in_order() -> None:
    driven = text_session()
    driven.say("Tell me about lighthouses.")
    assert kinds(driven.send("response.create")) == ["response.created"]
    told = kinds(driven.finish())
    deltas = told.count("response.output_text.delta")
    assert deltas > 10
    assert [kind for kind in told if kind != "response.output_text.delta"] == [
        "rate_limits.updated", "response.output_item.added", "conversation.item.added",
        "response.content_part.added", "response.output_text.done", "response.content_part.done",
        "conversation.item.done", "response.output_item.done", "response.done",
    ]  # fmt: skip
    assert (
        told.index("response.output_text.done") - told.index("response.output_text.delta") == deltas
    )


def test_a_spoken_answer_is_its_deltas_put_together() -> None:
    driven = Driven()
    driven.say("Tell me about lighthouses.")
    driven.send("response.create")
    told = driven.finish()
    sound = b"".join(
        b64decode(event["delta"])
        for event in told
        if event["type"] == "response.output_audio.delta"
    )
    words = "".join(
        event["delta"]
        for event in told
        if event["type"] == "response.output_audio_transcript.delta"
    )
    done = only(told, "response.done")["response"]
    item = done["output"][0]
    assert item["content"] == [{"type": "output_audio", "transcript": words}]
    assert len(sound) > 48_000, "more than a second"
    kept = only(driven.send("conversation.item.retrieve", item_id=item["id"]),
                "conversation.item.retrieved")["item"]  # fmt: skip
    assert b64decode(kept["content"][0]["audio"]) == sound
    details = done["usage"]["output_token_details"]
    assert 0 <= details["audio_tokens"] - len(sound) / 48 / 50 < 40, "20 tokens a second"


def test_equal_conversations_have_equal_answers() -> None:
    said = []
    for _ in range(2):
        driven = text_session()
        driven.say("Tell me about owls.")
        driven.send("response.create")
        said.append(only(driven.finish(), "response.output_text.done")["text"])
    assert said[0] == said[1]


def test_a_limit_leaves_a_response_incomplete() -> None:
    driven = text_session()
    driven.say("Tell me about owls.")
    driven.send("response.create", response={"max_output_tokens": 5})
    response = only(driven.finish(), "response.done")["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] == 5
    assert response["output"][0]["status"] == "incomplete"


def test_a_model_that_thinks_does_so_before_it_speaks() -> None:
    def made(effort: str) -> int:
        card = CARD.model_copy(update={"id": "gpt-realtime-2", "reasoning": True})
        driven = Driven(settings=Settings(model=card.id, modality="text"), card=card)
        driven.send("session.update", session={"type": "realtime", "reasoning": {"effort": effort}})
        driven.say("Tell me about owls.")
        driven.send("response.create")
        response = only(driven.finish(), "response.done")["response"]
        return int(response["usage"]["output_tokens"])

    assert made("high") > made("low") > made("minimal") > 0


def test_a_tool_is_called_and_its_result_is_spoken_of() -> None:
    driven = text_session()
    driven.send("session.update", session={"type": "realtime", "tools": [WEATHER]})
    driven.say("What is the weather in Paris?")
    driven.send("response.create")
    told = driven.finish()
    call = only(told, "response.done")["response"]["output"][0]
    assert (call["type"], call["name"]) == ("function_call", "get_weather")
    deltas = [
        event["delta"]
        for event in told
        if event["type"] == "response.function_call_arguments.delta"
    ]
    assert "".join(deltas) == call["arguments"]
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": "17 degrees"}
    driven.send("conversation.item.create", item=item)
    driven.send("response.create")
    answer = only(driven.finish(), "response.done")["response"]["output"]
    assert [one["type"] for one in answer] == ["message"]
    assert "17 degrees" in answer[0]["content"][0]["text"]


def test_a_response_outside_the_conversation_leaves_it_alone() -> None:
    driven = text_session()
    driven.say("Tell me about owls.", id="item_owls")
    driven.send("response.create")
    reference = {"type": "item_reference", "id": "item_owls"}
    created = driven.send(
        "response.create",
        response={"conversation": "none", "metadata": {"topic": "owls"}, "input": [reference]},
    )
    response = only(created, "response.created")["response"]
    assert response["conversation_id"] is None
    assert response["metadata"] == {"topic": "owls"}
    told = driven.finish()
    assert kinds(told).count("response.done") == 2
    assert kinds(told).count("conversation.item.added") == 1


def test_only_one_response_speaks_in_a_conversation() -> None:
    driven = text_session()
    driven.say("Hello")
    driven.send("response.create")
    error = error_in(driven.send("response.create", event_id="again"))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "again"


def test_a_cancelled_response_is_done_with_what_was_said() -> None:
    driven = text_session()
    driven.say("Tell me about owls.")
    driven.send("response.create")
    for _ in range(5):
        driven.step()
    told = driven.send("response.cancel")
    response = only(told, "response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"]["reason"] == "client_cancelled"
    text = response["output"][0]["content"][0]["text"]
    assert text == only(told, "response.output_text.done")["text"] != ""
    assert response["usage"]["output_tokens"] == 5
    assert driven.finish() == []
    assert error_in(driven.send("response.cancel"))["code"] == "response_cancel_not_active"


def test_a_response_that_nobody_could_make_has_failed() -> None:
    driven = text_session()
    driven.send("response.create")
    key = next(iter(driven.turns))
    driven._do(driven.session.fail(key, of_kind("overloaded"), 1.0))
    response = only(driven.events, "response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "server_is_overloaded"


# --- items


def test_items_stand_where_they_are_put() -> None:
    driven = text_session()
    driven.say("a", id="a")
    driven.say("c", id="c")
    for item_id, after, before in (("b", "a", "a"), ("first", "root", None), ("d", None, "c")):
        item = {"type": "message", "role": "user", "id": item_id,
                "content": [{"type": "input_text", "text": "x"}]}  # fmt: skip
        told = driven.send("conversation.item.create", item=item, previous_item_id=after)
        assert only(told, "conversation.item.added")["previous_item_id"] == before
    order = [item.id for item in driven.session._state.conversation]
    assert order == ["first", "a", "b", "c", "d"]
    assert kinds(driven.send("conversation.item.delete", item_id="b")) == [
        "conversation.item.deleted"
    ]


MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "conversation.item.delete", "item_id": "x"},
         "item_delete_invalid_item_id", "item_id"),
        ({"type": "conversation.item.create", "item": MESSAGE, "previous_item_id": "x"},
         "item_create_invalid_previous_item_id", "previous_item_id"),
        ({"type": "conversation.item.create",
          "item": {"type": "function_call_output", "call_id": "x", "output": ""}},
         "invalid_tool_call_id", "item.call_id"),
        ({"type": "conversation.item.create",
          "item": {"type": "message", "role": "system",
                   "content": [{"type": "input_audio", "audio": ""}]}},
         "invalid_value", "item.content[0].type"),
        ({"type": "nonsense"}, "invalid_value", "type"),
        ({}, "missing_required_parameter", "type"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        ({"type": "session.update", "session": {"type": "realtime", "modalities": ["text"]}},
         "unknown_parameter", "session.modalities"),
        ({"type": "session.update",
          "session": {"type": "transcription", "audio": {}}}, "invalid_value", "session.type"),
        ({"type": "input_audio_buffer.append", "audio": "not base64!"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.create", "response": {"max_output_tokens": 0}},
         "integer_below_min_value", "response.max_output_tokens"),
    ],
)  # fmt: skip
def test_a_bad_event_is_told_of_and_the_session_goes_on(
    event: dict[str, Any], code: str, param: str | None
) -> None:
    driven = Driven()
    fields = {key: value for key, value in event.items() if key != "type"}
    raw = {**fields, "event_id": "mine", **({"type": event["type"]} if "type" in event else {})}
    import orjson

    before = len(driven.events)
    driven._do(driven.session.receive(driven.session.read(orjson.dumps(raw)), 0.0))
    error = error_in(driven.events[before:])
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert error["type"] == "invalid_request_error"
    assert kinds(driven.say("hello"))[0] == "conversation.item.added"


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b"\xff", b"1", "null", b'{"type": 1}'])
def test_what_is_no_event_is_told_of(message: bytes | str) -> None:
    driven = Driven()
    driven._do(driven.session.receive(driven.session.read(message), 0.0))
    assert driven.events[-1]["type"] == "error"


def test_sound_that_was_not_heard_is_cut_off_with_its_words() -> None:
    driven = Driven()
    driven.say("Tell me about owls.")
    driven.send("response.create")
    item = only(driven.finish(), "response.done")["response"]["output"][0]
    where = {"item_id": item["id"], "content_index": 0}
    assert kinds(driven.send("conversation.item.truncate", **where, audio_end_ms=500)) == [
        "conversation.item.truncated"
    ]
    told = driven.send("conversation.item.retrieve", item_id=item["id"])
    part = told[0]["item"]["content"][0]
    assert len(b64decode(part["audio"])) == 500 * 48
    assert part["transcript"] is None
    error = error_in(driven.send("conversation.item.truncate", **where, audio_end_ms=501))
    assert error["message"] == "Audio content of 500ms is already shorter than 501ms"


# --- sound


def test_speech_is_heard_and_answered() -> None:
    driven = Driven()
    started = driven.append(silence(1000) + tone(800))
    event = only(started, "input_audio_buffer.speech_started")
    assert event["audio_start_ms"] == 700, "with 300 ms before it"
    told = driven.append(silence(600))
    assert kinds(told) == [
        "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
        "conversation.item.added", "conversation.item.done", "response.created",
    ]  # fmt: skip
    assert told[0]["audio_end_ms"] == 2300, "with the 500 ms of silence that end it"
    assert told[0]["item_id"] == told[1]["item_id"] == event["item_id"]
    item = only(
        driven.send("conversation.item.retrieve", item_id=event["item_id"]),
        "conversation.item.retrieved",
    )["item"]
    assert len(b64decode(item["content"][0]["audio"])) == 48 * (2300 - 700)
    done = only(driven.finish(), "response.done")["response"]
    assert done["usage"]["input_token_details"]["audio_tokens"] == 16, "10 a second"


def test_the_size_of_the_pieces_changes_nothing() -> None:
    sound = silence(400) + tone(500) + silence(900) + tone(300) + silence(700)
    told = []
    for size in (len(sound), 960, 1000, 4801):
        driven = Driven(
            settings=Settings(model=CARD.id, detection=TurnDetection(create_response=False))
        )
        for start in range(0, len(sound), size):
            driven.append(sound[start : start + size])
        told.append(
            [
                (event["type"], event.get("audio_start_ms"), event.get("audio_end_ms"))
                for event in driven.events
                if event["type"].startswith("input_audio_buffer.speech")
            ]
        )
    assert len(told[0]) == 4
    assert told.count(told[0]) == len(told)


def test_who_speaks_interrupts() -> None:
    driven = Driven()
    driven.say("Tell me about owls.")
    driven.send("response.create")
    driven.step()
    told = driven.append(tone(200))
    response = only(told, "response.done")["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert kinds(told)[0] == "input_audio_buffer.speech_started"
    assert not driven.turns


def test_without_detection_the_client_says_when() -> None:
    driven = text_session()
    assert driven.append(tone(500) + silence(2000)) == []
    told = driven.send("input_audio_buffer.commit")
    assert kinds(told) == [
        "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done",
    ]  # fmt: skip
    driven.append(tone(300))
    driven.send("input_audio_buffer.clear")
    error = error_in(driven.send("input_audio_buffer.commit"))
    assert "0.00ms of audio" in error["message"]


def test_our_own_speech_is_understood_again() -> None:
    driven = Driven()
    driven.say("Tell me about owls.")
    driven.send("response.create")
    spoken = only(driven.finish(), "response.done")["response"]["output"][0]
    told = driven.send("conversation.item.retrieve", item_id=spoken["id"])
    sound = b64decode(told[0]["item"]["content"][0]["audio"])
    listener = Driven(
        settings=Settings(
            kind="transcription", detection=None, transcription={"model": "gpt-4o-transcribe"}
        )
    )
    listener.append(sound)
    listener.send("input_audio_buffer.commit")
    told = listener.finish()
    done = only(told, "conversation.item.input_audio_transcription.completed")
    assert done["transcript"] == spoken["content"][0]["transcript"]
    deltas = [event["delta"] for event in told if event["type"].endswith("transcription.delta")]
    assert "".join(deltas) == done["transcript"]
    assert done["usage"]["input_tokens"] == len(sound) // 4800


def test_silence_has_no_words() -> None:
    whisper = Settings(kind="transcription", detection=None, transcription={"model": "whisper-1"})
    driven = Driven(settings=whisper)
    driven.append(silence(2000))
    driven.send("input_audio_buffer.commit")
    done = only(driven.finish(), "conversation.item.input_audio_transcription.completed")
    assert done["transcript"] == ""
    assert done["usage"] == {"type": "duration", "seconds": 2.0}


def test_who_says_nothing_for_long_is_asked() -> None:
    driven = Driven(settings=Settings(model=CARD.id, detection=TurnDetection(idle_timeout_ms=5000)))
    driven.say("Tell me about owls.")
    driven.send("response.create")
    driven.finish()
    driven.append(silence(6000))
    told = driven.wake()
    assert kinds(told)[0] == "input_audio_buffer.timeout_triggered"
    assert kinds(told)[-1] == "response.created"


def test_a_session_ends_after_an_hour() -> None:
    driven = Driven()
    told = driven.wake()
    assert driven.now == 3600
    assert error_in(told)["code"] == "session_expired"
    assert driven.closed is not None
    assert driven.closed.code == 1001


@pytest.mark.parametrize("form", [ULAW, ALAW])
def test_companded_sound_is_nearly_the_sound(form: Any) -> None:
    sound = samples(tone(500), PCM)
    heard = samples(encoded(sound, form), form).astype(float)
    slow = sound.reshape(-1, 3).mean(axis=1)
    assert np.abs(heard - slow).max() < 0.04 * np.abs(slow).max()
    every = np.arange(256, dtype=np.uint8).tobytes()
    again = encoded(np.repeat(samples(every, form), 3), form)
    assert (samples(again, form) == samples(every, form)).all()


def test_a_patient_listener_waits_longer_for_who_is_not_finished() -> None:
    def patience_ms(eagerness: str, levels: list[float]) -> int:
        detector = Detector(TurnDetection("semantic_vad", eagerness=eagerness))
        heard = list(detector.feed([*levels, *[0.0] * 500]))
        return heard[1].ms - 20 * len(levels)

    fading, breaking_off = [0.3] * 40 + [0.1] * 10, [0.3] * 50
    assert patience_ms("high", fading) == 300
    assert patience_ms("high", breaking_off) == 2000
    assert patience_ms("low", fading) == 1200
    assert patience_ms("low", breaking_off) == 8000


# --- the protocol before


def test_beta_has_its_own_names() -> None:
    driven = Driven(BETA)
    assert kinds(driven.events) == ["session.created", "conversation.created"]
    session = driven.events[0]["session"]
    assert session["modalities"] == ["audio", "text"]
    assert session["input_audio_format"] == "pcm16"
    told = driven.send(
        "session.update", session={"modalities": ["text"], "max_response_output_tokens": 30}
    )
    assert told[0]["session"]["max_response_output_tokens"] == 30
    assert kinds(driven.say("Tell me about owls.")) == ["conversation.item.created"]
    driven.send("response.create")
    told = driven.finish()
    assert "response.text.delta" in kinds(told)
    response = only(told, "response.done")["response"]
    assert response["output"][0]["content"][0]["type"] == "text"
    assert response["modalities"] == ["text"]


# --- anything in any order


_ITEM = st.sampled_from(["a", "b", "c", "d", "nobody", "root"])
_ACTIONS = st.one_of(
    st.tuples(st.just("say"), _ITEM, _ITEM | st.none()),
    st.tuples(st.just("delete"), _ITEM, st.none()),
    st.tuples(st.just("truncate"), st.integers(0, 3), st.integers(0, 900)),
    st.tuples(st.just("respond"), st.booleans(), st.sampled_from(["text", "audio"])),
    st.tuples(st.just("cancel"), st.none(), st.none()),
    st.tuples(st.just("sound"), st.booleans(), st.integers(1, 40)),
    st.tuples(st.just("commit"), st.none(), st.none()),
    st.tuples(st.just("clear"), st.none(), st.none()),
    st.tuples(st.just("steps"), st.integers(1, 30), st.none()),
    st.tuples(st.just("detect"), st.booleans(), st.none()),
    st.tuples(st.just("fail"), st.none(), st.none()),
)


def _act(driven: Driven, action: tuple[str, Any, Any]) -> None:
    name, one, other = action
    if name == "say":
        content = [{"type": "input_text", "text": f"Tell me about {one}."}]
        item = {"type": "message", "role": "user", "id": one, "content": content}
        driven.send("conversation.item.create", item=item, previous_item_id=other)
    elif name == "delete":
        driven.send("conversation.item.delete", item_id=one)
    elif name == "truncate":
        ids = [item.id for item in driven.session._state.conversation]
        item_id = ids[one] if one < len(ids) else "nobody"
        driven.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=other
        )
    elif name == "respond":
        conversation = "auto" if one else "none"
        asked = {
            "conversation": conversation,
            "output_modalities": [other],
            "max_output_tokens": 40,
        }
        driven.send("response.create", response=asked)
    elif name == "cancel":
        driven.send("response.cancel")
    elif name == "sound":
        driven.append(tone(other * 20) if one else silence(other * 20))
    elif name in ("commit", "clear"):
        driven.send(f"input_audio_buffer.{name}")
    elif name == "steps":
        for _ in range(one):
            driven.step()
    elif name == "detect":
        detection = {"type": "server_vad"} if one else None
        audio = {"input": {"turn_detection": detection, "transcription": {"model": "whisper-1"}}}
        driven.send("session.update", session={"type": "realtime", "audio": audio})
    elif driven.turns:
        key = next(iter(driven.turns))
        del driven.turns[key]
        driven._do(driven.session.fail(key, of_kind("server_error"), driven.now))


@settings(max_examples=40, deadline=None)
@given(st.lists(_ACTIONS, max_size=25))
def test_whatever_happens_every_response_is_done_once(actions: list[tuple[str, Any, Any]]) -> None:
    driven = Driven()
    for action in actions:
        _act(driven, action)
    driven.finish()
    created: set[str] = set()
    done: set[str] = set()
    order: list[str] = []
    for event in driven.events:
        kind = event["type"]
        response_id = event.get("response_id")
        if response_id is not None:
            assert response_id in created - done, f"{kind} of a response that is not under way"
        if kind == "response.created":
            created.add(event["response"]["id"])
        elif kind == "response.done":
            assert event["response"]["id"] not in done
            done.add(event["response"]["id"])
            _check_usage(event["response"]["usage"])
        elif kind == "conversation.item.added":
            before = event["previous_item_id"]
            assert event["item"]["id"] not in order
            order.insert(0 if before is None else order.index(before) + 1, event["item"]["id"])
        elif kind == "conversation.item.deleted":
            order.remove(event["item_id"])
    assert created == done
    assert order == [item.id for item in driven.session._state.conversation]
    ids = [event["event_id"] for event in driven.events]
    assert len(set(ids)) == len(ids)


def _check_usage(usage: dict[str, Any]) -> None:
    read, made = usage["input_token_details"], usage["output_token_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    kinds_read = sum(read[f"{kind}_tokens"] for kind in ("text", "audio", "image"))
    assert kinds_read == usage["input_tokens"]
    assert made["text_tokens"] + made["audio_tokens"] == usage["output_tokens"]
    assert sum(read["cached_tokens_details"].values()) == read["cached_tokens"]
