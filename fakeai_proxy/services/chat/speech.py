"""A plan as bytes: one JSON body, or the frames of a stream.

What depends on the back end (cached tokens) is a function of the admission, and only where a prompt is
long enough to be cached.
"""

from __future__ import annotations

from fakeai_proxy.exchange import Admission, Chunk, Reply, Workload
from fakeai_proxy.services.chat import message
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.chat.stream import Stream
from fakeai_proxy.services.chat.usage import billed, usage_of
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import JSON_HEADERS, model_fingerprint, sse_reply

#: What is asked for under another name, or is not there for everybody.
_TIERS = {"flex": b"flex", "priority": b"priority", "fast": b"priority", "scale": b"scale"}
#: What a completion is called.
ID_PREFIX = "chatcmpl-"


def speak(call: Call, plan: Plan) -> Reply:
    workload = plan.workload
    if workload is None:
        workload = plan.workload = _workload(plan)
        plan.usage = (billed(plan),)
    identity = _identity(call, plan)
    if plan.request.stream:
        reply = sse_reply(Stream(call, plan, identity).chunks(), workload, plan.usage)
    else:
        reply = _whole(call, plan, identity, workload)
    reply.finish = plan.choices[0].finish_reason
    return reply


def completion_id(call: Call, *, lasting: bool = False) -> str:
    """`lasting` for one that is stored."""
    key = call.lasting_key if lasting else call.id_key
    return ID_PREFIX + call.dice.text_id(key, "chatcmpl", length=29)


def tier_of(plan: Plan) -> bytes:
    return _TIERS.get(plan.request.service_tier or "", b"default")


def _workload(plan: Plan) -> Workload:
    request, card = plan.request, plan.card
    limit = request.max_completion_tokens or request.max_tokens or 0
    return Workload(
        card.id,
        plan.prompt.ids,
        plan.completion_tokens,
        priority=request.priority or 0,
        samples=len(plan.choices),
        output=plan.output_ids,
        lora=card.id if card.parent else "",
        cache_salt=request.cache_salt or "",
        # A pool that stands in for another model has another context: limits are the model's own.
        output_limit=limit if card.max_model_len else 0,
        session=request.prompt_cache_key or "",
        finishes=["length" if c.finish_reason == "length" else "stop" for c in plan.choices],
        strides=plan.strides,
    )


def _identity(call: Call, plan: Plan) -> tuple[bytes, bytes, bytes]:
    """`"id":...` up to the object's name, what follows the name, and the end of the object."""
    model, fingerprint = model_fingerprint(plan.model)
    name = completion_id(call, lasting=bool(plan.request.store))
    before = b'{"id":"%b","object":"chat.completion' % name.encode()
    after = b'","created":%d,"model":%b,' % (call.created, model)
    closing = b'"service_tier":"%b","system_fingerprint":"%b"' % (tier_of(plan), fingerprint)
    return before, after, closing


def _whole(
    call: Call, plan: Plan, identity: tuple[bytes, bytes, bytes], workload: Workload
) -> Reply:
    before, after, closing = identity
    choices = plan.rendered
    if choices is None:
        choices = b",".join([message.choice(call, plan, k) for k in range(len(plan.choices))])
        # Ids within are each request's own.
        if not plan.sounds and not any(choice.calls for choice in plan.choices):
            plan.rendered = choices
    start = b'%b%b"choices":[%b],"usage":' % (before, after, choices)
    usage = usage_of(plan)
    if isinstance(usage, bytes):
        data = b"%b%b,%b}" % (start, usage, closing)
        headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
        chunk = Chunk(data, workload.output_tokens)
        return Reply(200, headers, [chunk], workload=workload, usage=plan.usage)

    def body(admission: Admission) -> bytes:
        return b"%b%b,%b}" % (start, usage(admission), closing)

    chunk = Chunk(body, workload.output_tokens)
    return Reply(200, JSON_HEADERS, [chunk], workload=workload, usage=plan.usage)
