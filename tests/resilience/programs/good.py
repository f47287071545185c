"""A client on SDK defaults that sets a read timeout and looks at how answers end."""

import sys

import httpx
from openai import OpenAI, OpenAIError

client = OpenAI(timeout=httpx.Timeout(3.5, connect=2.0))
ATTEMPTS = 2


def ask() -> str:
    """Raises EOFError for an answer that is not whole."""
    said, reason = "", None
    for chunk in client.chat.completions.create(
        model="gpt-4o-mini",
        stream=True,
        messages=[{"role": "user", "content": "What is a lighthouse for?"}],
    ):
        for choice in chunk.choices:
            said += choice.delta.content or ""
            reason = choice.finish_reason or reason
    if reason is None:
        raise EOFError("the answer has no end")
    if reason == "length":
        print("warning: the answer is cut short", file=sys.stderr)
    return said


failure: Exception | None = None
for _ in range(ATTEMPTS):
    try:
        print(ask())
        break
    except OpenAIError as error:
        sys.exit(f"the API failed: {error}")
    except (
        EOFError,
        ValueError,
        httpx.HTTPError,
    ) as error:  # the SDK retries no stream that has begun
        failure = error
else:
    sys.exit(f"no whole answer: {failure}")
