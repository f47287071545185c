"""A test whose answers are recorded once and replayed for ever after: no key, no network, no bill.

`pytest --fakeai-record=once`, and from then on `pytest`. To see both: python examples/in_your_tests.py
"""

import os

import pytest
from openai import OpenAI

import fakeai_proxy


def summarize(text):  # the program under test, which knows nothing of all this
    question = [{"role": "user", "content": f"Summarize in one sentence: {text}"}]
    with OpenAI() as sdk:
        answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=question)
    return answer.choices[0].message.content


@pytest.mark.cassette
def test_it_summarizes(fakeai):
    assert summarize("A proxy stands between two parties.")
    fakeai.calls.assert_called_once(model="gpt-4o-mini", contains="two parties")


def run(*options):
    beside = ("--rootdir=.", f"-c{os.devnull}", "-o", "fakeai_cassettes=cassettes")
    pytest.main([__file__, "-q", "-p", "fakeai_proxy.pytest_plugin", *beside, *options])


if __name__ == "__main__":
    with fakeai_proxy.serve(mode="synth", profile="none") as api:  # in place of api.openai.com
        os.environ.update(OPENAI_BASE_URL=api.base_url, OPENAI_API_KEY="any-key")
        run("--fakeai-record=once")
    run("--fakeai-strict")
