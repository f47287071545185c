"""litellm: completion, streaming, embedding, image, and the errors that it makes of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable

import litellm

MESSAGES = [{"role": "user", "content": sys.argv[1]}]
MODEL = "openai/gpt-4o-mini"


def failure(call: Callable[[], object]) -> dict[str, object]:
    try:
        call()
    except Exception as error:  # noqa: BLE001  which it is, is the question
        return {"class": type(error).__name__, "status": getattr(error, "status_code", None)}
    return {"class": None}


def streamed() -> dict[str, object]:
    chunks = list(
        litellm.completion(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    whole = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    return {"text": whole.choices[0].message.content, "usage": whole.usage.completion_tokens}


def errors() -> dict[str, object]:
    def ask(**changed: object) -> Callable[[], object]:
        return lambda: litellm.completion(
            **{"model": MODEL, "messages": MESSAGES, "num_retries": 0, "max_retries": 0} | changed
        )

    return {
        "key": failure(ask(api_key="sk-invalid")),
        "model": failure(ask(model="openai/no-such-model")),
        "parameter": failure(ask(temperature=9)),
        "context": failure(ask(messages=[{"role": "user", "content": "word " * 140_000}])),
        "limit": failure(ask(extra_headers={"x-fakeai-fault": "429"})),
        "server": failure(ask(extra_headers={"x-fakeai-fault": "500"})),
        "overload": failure(ask(extra_headers={"x-fakeai-fault": "503"})),
    }


def main() -> None:
    whole = litellm.completion(model=MODEL, messages=MESSAGES)
    later = asyncio.run(litellm.acompletion(model=MODEL, messages=MESSAGES))
    claude = litellm.completion(model="anthropic/claude-sonnet-4-5", messages=MESSAGES)
    vectors = litellm.embedding(model="openai/text-embedding-3-small", input=["one", "two"])
    image = litellm.image_generation(
        model="openai/gpt-image-1", prompt="a red lighthouse", size="1024x1024"
    )
    said = {
        "text": whole.choices[0].message.content,
        "usage": whole.usage.completion_tokens,
        "async": later.choices[0].message.content,
        "stream": streamed(),
        "claude": claude.choices[0].message.content,
        "vectors": [len(entry["embedding"]) for entry in vectors.data],
        "image": base64.b64decode(image.data[0].b64_json)[:8].hex(),
        "errors": errors(),
    }
    print(json.dumps(said))


main()
