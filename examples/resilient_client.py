"""Put a client through a few faults, and read the verdict: it obeys Retry-After, which the SDK does by
itself, but takes half a stream for the whole answer, which the SDK leaves to us.

python examples/resilient_client.py
"""

import json
import subprocess
import sys

CLIENT = """
from openai import OpenAI

stream = OpenAI(timeout=5).chat.completions.create(
    model="gpt-4o-mini", stream=True, messages=[{"role": "user", "content": "What is a proxy?"}]
)
for chunk in stream:  # and no look at finish_reason
    print(chunk.choices[0].delta.content or "", end="")
"""
RESILIENCE = [sys.executable, "-m", "fakeai_proxy", "resilience"]
TRIALS = ["--only", "429-retry-after,truncated", "--json"]

done = subprocess.run(
    [*RESILIENCE, *TRIALS, "--", sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, check=False
)
for trial in json.loads(done.stdout)["trials"]:
    print(trial["name"], trial["verdict"], *(found["code"] for found in trial["findings"]))
    for found in trial["findings"]:
        print("   ", found["said"], found["advice"])
print("the status for CI is", done.returncode)
