"""Record a stream once, then replay it for ever: same bytes, same rhythm, nothing behind it.

The upstream here is a second fakeai-proxy, so that no key is needed; yours is https://api.openai.com.
"""

import json
import subprocess
import sys
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from openai import OpenAI

SERVE = [sys.executable, "-m", "fakeai_proxy", "--listen", "127.0.0.1:0", "--log-format", "json"]


@contextmanager
def proxy(*options):
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"] + "/v1"
        finally:
            process.terminate()


def ask(base_url):
    question = [{"role": "user", "content": "Tell me a story."}]
    chat = OpenAI(base_url=base_url, api_key="any-key").chat.completions
    return list(chat.create(model="gpt-4o", messages=question, max_tokens=60, stream=True))


with TemporaryDirectory() as folder, proxy("--mode", "synth") as live:
    tape = ("--cassette", f"{folder}/story.fcz")
    with proxy("--mode", "record", "--upstream", live, *tape) as url:
        recorded = ask(url)
    with proxy("--mode", "replay", *tape) as url:
        replayed = ask(url)
print("recorded:", "".join(chunk.choices[0].delta.content or "" for chunk in recorded))
print("replayed: the same" if replayed == recorded else "replayed: something else", replayed[0].id)
