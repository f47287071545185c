"""Pictures over the wire: whole answers, and the events of a stream."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import orjson

from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.generate.pictures.formats import CONTENT_TYPES
from fakeai_proxy.services.images.job import Job
from fakeai_proxy.services.images.tokens import PARTIAL_TOKENS, output_tokens
from fakeai_proxy.services.media import hand_out
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import json_reply, sse_reply

#: How `dall-e-3` dresses up a prompt.
_LIGHTS = (
    "soft, warm light", "the clear light of morning", "a gentle glow from one side",
    "deep shadows and bright accents", "the even light of an overcast day",
)  # fmt: skip
_FINISHES = {
    "vivid": (
        "saturated colors and a dramatic, almost hyper-real finish",
        "bold contrasts and rich detail",
    ),
    "natural": ("muted, true-to-life colors", "a calm and unadorned composition"),
}

#: learn.microsoft.com/azure/ai-services/openai/how-to/dall-e: what Azure's filters found in a picture and
#: in its prompt.
_SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
_SAFE_PROMPT = {**_SAFE, "profanity": {"detected": False, "filtered": False}}


@dataclass(frozen=True, slots=True)
class Print:
    """One picture that is made: `make` gives its bytes, and `steps` what is seen before."""

    make: Callable[[], bytes]
    held_bytes: int
    steps: Callable[[], Sequence[bytes]] = tuple


def whole(
    call: Call, job: Job, prints: Sequence[Print], kind: Literal["generation", "edit"]
) -> Reply:
    data = [_image(call, job, one, k) for k, one in enumerate(prints)]
    body: dict[str, Any] = {"created": call.created, "data": data}
    if job.family.is_gpt:
        body |= _described(job)
        body["usage"] = job.usage(job.count)
        if job.safety_identifier:
            body["safety_identifier"] = job.safety_identifier
    return json_reply(body, job.workload(), usage=job.billed(f"image.{kind}"))


def _image(call: Call, job: Job, one: Print, index: int) -> dict[str, Any]:
    image: dict[str, Any] = (
        {"url": url_of(call, one, job.form, index)}
        if job.as_url
        else {"b64_json": b64encode(one.make()).decode()}
    )
    if job.family.name == "dall-e-3":
        rng = call.dice.roll(call.dice_key, "revised prompt")
        image["revised_prompt"] = revised(job.prompt, job.style, rng)
        if call.vendor == "azure":
            image |= {"content_filter_results": _SAFE, "prompt_filter_results": _SAFE_PROMPT}
    return image


def url_of(call: Call, one: Print, form: str, index: int) -> str:
    name = f"img-{call.dice.text_id(call.lasting_key, 'url', index)}.{form}"
    return hand_out(call, name, CONTENT_TYPES[form], one.make, one.held_bytes)


def revised(prompt: str, style: str, rng: Random) -> str:
    """The prompt as the model tells it to itself."""
    text = " ".join(prompt.split()).rstrip(" .!?")
    finish = rng.choice(_FINISHES[style])
    return (
        f"{text[:1].upper()}{text[1:]}, seen in {rng.choice(_LIGHTS)}. The scene is composed with care, "
        f"the subject clearly in view, with {finish}."
    )


def _described(job: Job) -> dict[str, Any]:
    width, height = job.size
    return {
        "background": job.background, "output_format": job.form, "quality": job.quality,
        "size": f"{width}x{height}",
    }  # fmt: skip


def stream(
    call: Call, job: Job, prints: Sequence[Print], kind: Literal["generation", "edit"]
) -> Reply:
    """Each picture's partial ones and its end, one picture after the other."""
    chunks: list[Chunk] = []
    own = output_tokens(*job.size, job.quality)
    for one in prints:
        done = 0
        for k, step in enumerate(one.steps()):
            upto = own * (k + 1) // (job.partials + 1) + PARTIAL_TOKENS * (k + 1)
            event = {
                "type": f"image_{kind}.partial_image", "partial_image_index": k,
                "b64_json": b64encode(step).decode(), "created_at": call.created, **_described(job),
            }  # fmt: skip
            chunks.append(_frame(event, upto - done))
            done = upto
        event = {
            "type": f"image_{kind}.completed", "b64_json": b64encode(one.make()).decode(),
            "created_at": call.created, **_described(job), "usage": job.usage(1),
        }  # fmt: skip
        if job.safety_identifier:
            event["safety_identifier"] = job.safety_identifier
        chunks.append(_frame(event, job.picture_tokens - done))
    return sse_reply(chunks, job.workload(), job.billed(f"image.{kind}"))


def _frame(event: dict[str, Any], tokens: int) -> Chunk:
    data = b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
    return Chunk(data, tokens)
