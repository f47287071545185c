"""Ask a synthesized API with the official SDK: no key, no network, no bill.

python examples/serve_and_ask.py
"""

import json
import subprocess
import sys

from openai import OpenAI

SERVE = [sys.executable, "-m", "fakeai_proxy", "--mode", "synth", "--listen", "127.0.0.1:0"]

with subprocess.Popen(
    [*SERVE, "--log-format", "json"], stdout=subprocess.PIPE, text=True
) as server:
    try:
        url = json.loads(server.stdout.readline())["url"]
        client = OpenAI(base_url=f"{url}/v1", api_key="any-key")

        stream = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "What is a proxy?"}],
            max_tokens=40,
            stream=True,
        )
        for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()

        asked, known = client.embeddings.create(
            model="text-embedding-3-small",
            input=["I forgot my password", "How do I reset my password?"],
        ).data
        print("likeness:", round(sum(map(float.__mul__, asked.embedding, known.embedding)), 3))
    finally:
        server.terminate()
