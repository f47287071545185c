"""When one wants it: to know that a client asks again after a 429 and a 503, and when.

pytest examples/test_retries.py: faults come by count, `first=2` fails a request's first two attempts.
"""

from datetime import datetime

import pytest
from openai import OpenAI, RateLimitError

import fakeai_proxy


def ask(server, **options):  # the program under test
    question = [{"role": "user", "content": "What is a proxy?"}]
    with OpenAI(base_url=server.base_url, api_key="any-key", **options) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=question, max_tokens=9)


def test_it_waits_as_long_as_retry_after_says():
    with fakeai_proxy.serve(profile="none", fault="429:retry_after_s=1,first=1") as server:
        ask(server)
        assert [call.status for call in server.calls] == [429, 200]
        again, refused = (datetime.fromisoformat(e.arrived) for e in server.control.journal().data)
    assert (again - refused).total_seconds() >= 1


def test_it_survives_an_outage_of_two_attempts():
    with fakeai_proxy.serve(profile="none", fault="503:first=2") as server:
        ask(server)
        server.calls.assert_called_times(2, status=503)
        server.calls.assert_called_once(status=200)


def test_it_gives_up_in_the_end():
    with fakeai_proxy.serve(profile="none", fault="429:retry_after_s=0.01") as server:
        with pytest.raises(RateLimitError):
            ask(server, max_retries=2)
        server.calls.assert_called_times(3, status=429)
