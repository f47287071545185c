"""Answer with what your test needs: this file is its own responder.

python examples/put_answers_ready.py
"""

import json
import subprocess
import sys

SERVE = [sys.executable, "-m", "fakeai_proxy", "--mode", "synth", "--listen", "127.0.0.1:0"]


def respond(ask):
    """A text, a dictionary with tool_calls or a refusal, or None to have something made up."""
    if "order" in ask.prompt:
        return {"tool_calls": [{"name": "find_order", "arguments": {"number": 42}}]}
    if "hello" in ask.prompt.lower():
        return f"Hello from {ask.model}, which has {len(ask.messages)} message of yours."
    return None


if __name__ == "__main__":
    from openai import OpenAI

    with subprocess.Popen(
        [*SERVE, "--log-format", "json", "--responder", f"{__file__}:respond"],
        stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            url = json.loads(server.stdout.readline())["url"]
            client = OpenAI(base_url=f"{url}/v1", api_key="any-key")
            for prompt in ("Hello!", "Where is my order?", "Tell me about tea in five words"):
                answer = client.responses.create(model="gpt-5-mini", input=prompt)
                print(prompt, "->", answer.output_text or answer.output[-1].arguments)
        finally:
            server.terminate()
