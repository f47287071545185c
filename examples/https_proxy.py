"""A program that talks to https://api.openai.com and knows of no proxy, answered on this machine.

    python examples/https_proxy.py

`fakeai-proxy run` sets HTTPS_PROXY and what makes clients trust the proxy's certificates, for one
command. With `--mode record` in place of synth the same command records your program's traffic.
"""

import subprocess
import sys

PROGRAM = """
from openai import OpenAI

client = OpenAI()
answer = client.chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "Who are you?"}], max_tokens=30
)
print("asked:   ", client.base_url)
print("answered:", answer.choices[0].message.content)
"""

RUN = [sys.executable, "-m", "fakeai_proxy", "--mode", "synth", "run", "--"]

sys.exit(subprocess.run([*RUN, sys.executable, "-c", PROGRAM], check=False).returncode)
