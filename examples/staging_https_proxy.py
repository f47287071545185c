"""When one wants it: staging talks to real APIs by HTTPS, its code must not change, and you want its
traffic as a cassette, to replay in CI.

    python examples/staging_https_proxy.py

To do this without a key, the internet is a second fakeai-proxy that answers for api.openai.com. In
your staging leave out --upstream-proxy and --upstream-ca.
"""

import subprocess
import sys
from tempfile import TemporaryDirectory

import fakeai_proxy

PROGRAM = """
from openai import OpenAI

client = OpenAI(api_key="any-key")  # it knows of no proxy
question = [{"role": "user", "content": "Name a harbour."}]
answer = client.chat.completions.create(model="gpt-4o", messages=question, max_tokens=20)
print(client.base_url.host, "said", answer.id)
"""


def run(*options):
    fakeai = [sys.executable, "-m", "fakeai_proxy", *options, "run", "--"]
    program = [*fakeai, sys.executable, "-c", PROGRAM]
    return subprocess.run(program, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


with TemporaryDirectory() as folder:
    tape = ("--cassette", f"{folder}/staging.fcz")
    with fakeai_proxy.serve(mode="synth", profile="none", data=f"{folder}/internet") as internet:
        authority = internet.environment(proxy=True)["SSL_CERT_FILE"]
        beyond = ("--upstream-proxy", internet.url, "--upstream-ca", authority)
        print("recorded:", recorded := run("--mode", "record", *tape, *beyond))
    print("replayed:", replayed := run("--mode", "replay", *tape, "--strict", "all"))
    print("the same:", recorded == replayed)
