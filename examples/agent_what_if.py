"""When one wants it: an agent's run was recorded. Replay it, though its tool calls have other ids and
its prompts other times in each run; and see what it would have done, had a tool said something else.
"""

import subprocess
import sys
from tempfile import TemporaryDirectory
from uuid import uuid4  # noqa: TID251 - a program of a user

from openai import OpenAI

import fakeai_proxy

FORK = [sys.executable, "-m", "fakeai_proxy", "cassette", "fork"]
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
ASKED = {"model": "gpt-4o-mini", "tools": [{"type": "function", "function": WEATHER}]}


def agent(weather, **settings):
    with fakeai_proxy.serve(match="agent", profile="none", **settings) as server:
        chat = OpenAI(base_url=server.base_url, api_key="any-key").chat.completions
        messages = [{"role": "system", "content": f"You plan days. Run {uuid4()}."}]
        messages.append({"role": "user", "content": "What shall I do today?"})
        for choice in ("required", "required", "none"):
            answer = chat.create(messages=messages, tool_choice=choice, max_tokens=20, **ASKED)
            messages.append(said := answer.choices[0].message)
            for call in said.tool_calls or ():
                messages.append({"role": "tool", "tool_call_id": call.id, "content": weather})
        return *(call.source for call in server.calls), said.content


with TemporaryDirectory() as folder, fakeai_proxy.serve(profile="none") as live:
    tape, branch = f"{folder}/monday.fcz", f"{folder}/storm.fcz"
    print("recorded:", *agent("sunny", mode="record", cassette=tape, upstream=live.url))
    print("replayed:", *agent("sunny", mode="replay", cassette=tape))
    subprocess.run([*FORK, tape, "1", branch], check=True, stdout=subprocess.DEVNULL)
    print("what if: ", *agent("a storm", mode="auto", cassette=branch, upstream=live.url))
