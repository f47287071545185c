"""requests: a listing, an answer, a stream, all on one session."""

from __future__ import annotations

import json
import sys

import requests

URL = "https://api.openai.com/v1"
CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": sys.argv[1]}]}
with requests.Session() as session:
    session.headers["Authorization"] = "Bearer sk-test"
    models = session.get(f"{URL}/models", timeout=30)
    answer = session.post(f"{URL}/chat/completions", json=CALL, timeout=30)
    stream = session.post(
        f"{URL}/chat/completions", json={**CALL, "stream": True}, stream=True, timeout=30
    )
    lines = [line for line in stream.iter_lines(decode_unicode=True) if line]
print(
    json.dumps(
        {
            "models": len(models.json()["data"]),
            "text": answer.json()["choices"][0]["message"]["content"],
            "stream_type": stream.headers["content-type"],
            "last_line": lines[-1],
            "pieces": len(lines),
        }
    )
)
