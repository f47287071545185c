"""An agent that runs a tool. With `forgetful`, it starts over when a request fails: the tool runs again."""

import json
import sys
from time import sleep
from typing import Any

from asking import QUESTION, Client, Message, RefusedError

TOOL = {
    "type": "function",
    "function": {
        "name": "send_letter",
        "description": "Send a letter to a lighthouse",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
    },
}
client = Client()


def ask(messages: list[Message], attempts: int, **asked: Any) -> Message:
    for attempt in range(attempts):
        try:
            return client.complete(messages, **asked)
        except RefusedError as error:
            if attempt == attempts - 1:
                raise
            sleep(client.pause(attempt, error.wait_s))
    raise AssertionError


def work(attempts: int) -> str:
    messages = [*QUESTION]
    calling = ask(messages, attempts, tools=[TOOL], tool_choice="required")
    messages.append(calling)
    for call in calling["tool_calls"]:
        json.loads(call["function"]["arguments"])
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "sent"})
    return str(ask(messages, attempts, tools=[TOOL])["content"])


if "forgetful" in sys.argv:
    for turn in range(5):
        try:
            print(work(1))
            break
        except RefusedError as error:
            sleep(client.pause(turn, error.wait_s))
    else:
        sys.exit("gave up")
else:
    print(work(5))
