"""The anthropic SDK, blocking and streaming."""

from __future__ import annotations

import json
import sys

import anthropic

CALL = {
    "model": "claude-opus-4-6",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": sys.argv[1]}],
}
client = anthropic.Anthropic()
said: dict[str, object] = {}
try:
    answer = client.messages.create(**CALL)
    with client.messages.stream(**CALL) as stream:
        said["stream"] = "".join(stream.text_stream)
    said |= {"text": answer.content[0].text, "id": answer.id}
except anthropic.APIStatusError as error:
    said |= {
        "error": type(error).__name__,
        "status": error.status_code,
        "body": error.body,
        "request_id": error.request_id,
        "should_retry": error.response.headers.get("x-should-retry"),
    }
print(json.dumps(said))
