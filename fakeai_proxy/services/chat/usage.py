"""The usage of a chat completion, as bytes: whole where the back end has no say in it, else a function of
what it did."""

from __future__ import annotations

from fakeai_proxy.exchange import Admission, Usage
from fakeai_proxy.services import metering
from fakeai_proxy.services.answer.cached import cached_tokens, may_be_cached
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.wire import Late


def usage_of(plan: Plan) -> Late:
    if plan.counted is not None:
        return plan.counted
    prompt = len(plan.prompt.ids)

    def usage(admission: Admission) -> bytes:
        return usage_with(plan, cached_tokens(plan.card, admission, prompt))

    if may_be_cached(plan.card, prompt):
        return usage
    plan.counted = usage(Admission())
    return plan.counted


def usage_with(plan: Plan, cached: int) -> bytes:
    """Predicted tokens that were not taken up are paid for like those that were generated."""
    prompt, completion = len(plan.prompt.ids), plan.completion_tokens
    accepted, rejected, _ = plan.match or (0, 0, ())
    completion += rejected
    read, said = b"", b""
    if plan.sounds or plan.media.audio_tokens:
        # Models that speak tell text from sound.
        images, heard = plan.media.image_tokens, plan.media.audio_tokens
        read = b',"text_tokens":%d,"image_tokens":%d' % (prompt - images - heard, images)
        said = b',"text_tokens":%d' % (plan.completion_tokens - plan.audio_tokens)
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
        b'{"cached_tokens":%d,"audio_tokens":%d%b},"completion_tokens_details":{"reasoning_tokens":%d,'
        b'"audio_tokens":%d,"accepted_prediction_tokens":%d,"rejected_prediction_tokens":%d%b}}'
        % (prompt, completion, prompt + completion, cached, plan.prompt.audio_tokens, read,
           plan.reasoning_tokens, plan.audio_tokens, accepted, rejected, said)
    )  # fmt: skip


def billed(plan: Plan) -> Usage:
    """The same for the organization's account."""
    rejected = 0 if plan.match is None else plan.match.rejected
    return metering.completion(
        plan.card,
        len(plan.prompt.ids),
        plan.completion_tokens + rejected,
        heard=plan.prompt.audio_tokens,
        seen=plan.media.image_tokens,
        said=plan.audio_tokens,
        tier=plan.request.service_tier,
    )
