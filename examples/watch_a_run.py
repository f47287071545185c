"""When one wants it: a server runs, and a program of yours is to steer it, look on, and check what was
asked: a load test's harness, a notebook, an acceptance test in staging.

    python examples/watch_a_run.py

`Control("http://host:8000", token="...")` speaks to a server anywhere; here it starts one of its own.
"""

from openai import InternalServerError, OpenAI

import fakeai_proxy


def ask(server, prompt):
    with OpenAI(base_url=server.base_url, api_key="any-key", max_retries=0) as client:
        message = [{"role": "user", "content": prompt}]
        return client.chat.completions.create(model="gpt-4o", messages=message, max_tokens=20)


with fakeai_proxy.serve(mode="synth", keep_calls=100) as server, server.control as control:
    ask(server, "Is the harbour open?")

    rule = control.add_fault("503:model=gpt-4o*")
    control.mark("an outage begins")
    try:
        ask(server, "And now?")
    except InternalServerError as error:
        print("the client saw:", error.status_code)
    control.remove_fault(rule.id)

    for entry in control.journal().data:
        waited = "" if entry.ttft_ms is None else f"{entry.ttft_ms:.0f} ms to the first token"
        print("journal:", entry.status, entry.model, *entry.faults, waited)

    asked = control.verify(path="/v1/chat/completions", contains="harbour", count=1)
    print("verified:" if asked.ok else "not so:", asked.expected, "-", asked.count)
