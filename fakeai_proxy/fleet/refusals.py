"""Why a fleet does not take a request, and how the server it models says so.

The fleet raises; whoever speaks HTTP looks the words up in `MANNERS`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from fakeai_proxy.errors import FakeAIError
from fakeai_proxy.profiles.serving import Server


class Refusal(FakeAIError):  # noqa: N818 - an answer, not a fault
    """`kind` and `values` find and fill the words; `retry_after_s` is 0 where trying again is of no
    use."""

    kind: Kind

    def __init__(self, message: str, retry_after_s: float = 0.0, **values: object) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.values = values

    def told_by(self, server: Server) -> Manner:
        """What the modelled server says, its message filled."""
        manner = MANNERS[server][self.kind]
        return manner._replace(message=manner.message.format(**self.values))


class Busy(Refusal):
    """Every worker has more KV blocks in use than the router allows."""

    kind: Kind = "busy"


class QueueFull(Busy):
    """As many requests wait at every worker as may."""

    kind = "queue_full"

    def __init__(self, queued: int, queue: int, retry_after_s: float) -> None:
        super().__init__(
            f"{queued} requests wait, {queue} may", retry_after_s, queued=queued, queue=queue
        )


class TooLong(Refusal):
    """`limit_tokens` is what the context takes or, where that is less, the KV pool."""

    kind = "too_long"

    def __init__(self, prompt: int, output: int, limit_tokens: int, of: str) -> None:
        total = prompt + output
        super().__init__(
            f"{prompt} prompt and {output} output tokens are more than the {limit_tokens} of {of}",
            prompt=prompt, output=output, total=total, limit=limit_tokens,
        )  # fmt: skip
        self.limit_tokens = limit_tokens


class NoSuchModel(Refusal):
    kind = "no_such_model"

    def __init__(self, model: str) -> None:
        super().__init__(f"no pool answers to {model}", model=model)


class NothingReady(Refusal):
    """Workers there may be, but none serves: they start, drain, or are dead."""

    kind = "nothing_ready"

    def __init__(self, pool: str, retry_after_s: float) -> None:
        super().__init__(f"no worker of {pool} is ready", retry_after_s, endpoint=pool)


Kind = Literal["busy", "queue_full", "too_long", "no_such_model", "nothing_ready"]


class Manner(NamedTuple):
    """`flat` bodies have no `error` around the fields."""

    status: int
    type: str
    message: str
    code: int | str
    param: str | None = None
    flat: bool = False


_VLLM_LONG = (
    "This model's maximum context length is {limit} tokens. However, you requested {output} output "
    "tokens and your prompt contains at least {prompt} input tokens, for a total of at least {total} "
    "tokens. Please reduce the length of the input prompt or the number of requested output tokens."
)
_SGLANG_LONG = (
    "Requested token count exceeds the model's maximum context length of {limit} tokens. You "
    "requested a total of {total} tokens: {prompt} tokens from the input messages and {output} "
    "tokens for the completion. Please reduce the number of tokens in the input messages or the "
    "completion to fit within the limit."
)
_TRTLLM_LONG = (
    "The sum of prompt length ({prompt}) and query length (0) max_tokens ({output}) should not "
    "exceed max_seq_len ({limit})"
)
_MISSING = "The model `{model}` does not exist."
_BUSY = "ResourceExhausted: All workers are busy, please retry later"

#: vLLM: 503 for a full queue since vllm-project/vllm#49445, its words are ours; the others as
#: documented in its errors. SGLang: `Scheduler._abort_on_queued_limit`, 503, flat bodies whose type
#: is the status. TensorRT-LLM: the executor's own message; status estimated. Dynamo: bodies seen at
#: its front end ("All workers are busy": docs/fault-tolerance/request-rejection; worker limit: the
#: same error class), push_router.rs for no instances. None of these is documented to send
#: Retry-After; a proxy before them does, and its value is the fleet's own estimate.
MANNERS: dict[Server, dict[Kind, Manner]] = {
    "vllm": {
        "busy": Manner(503, "ServiceUnavailableError", "The server is overloaded.", 503),
        "queue_full": Manner(
            503, "ServiceUnavailableError",
            "The request queue is full: {queued} requests wait, the limit is {queue}.", 503,
        ),
        "too_long": Manner(400, "BadRequestError", _VLLM_LONG, 400, "input_tokens"),
        "no_such_model": Manner(404, "NotFoundError", _MISSING, 404, "model"),
        "nothing_ready": Manner(503, "ServiceUnavailableError", "No worker is ready.", 503),
    },
    "sglang": {
        "busy": Manner(503, "503", "The request queue is full.", 503, flat=True),
        "queue_full": Manner(503, "503", "The request queue is full.", 503, flat=True),
        "too_long": Manner(400, "BadRequestError", _SGLANG_LONG, 400, flat=True),
        "no_such_model": Manner(404, "NotFoundError", _MISSING, 404, flat=True),
        "nothing_ready": Manner(503, "503", "No available workers", 503, flat=True),
    },
    "trtllm": {
        "busy": Manner(503, "ServiceUnavailableError", "The server is overloaded.", 503, flat=True),
        "queue_full": Manner(
            503, "ServiceUnavailableError",
            "Maximum queue size of {queue} has been reached, please try again later", 503, flat=True,
        ),
        "too_long": Manner(400, "BadRequestError", _TRTLLM_LONG, 400, flat=True),
        "no_such_model": Manner(404, "NotFoundError", _MISSING, 404, flat=True),
        "nothing_ready": Manner(503, "ServiceUnavailableError", "No worker is ready.", 503, flat=True),
    },
    "dynamo": {
        "busy": Manner(503, "Service Unavailable", _BUSY, 503, flat=True),
        "queue_full": Manner(
            503, "Service Unavailable",
            "ResourceExhausted: Worker local total request limit reached ({queued}/{queue})", 503,
            flat=True,
        ),
        "too_long": Manner(400, "Bad Request", _VLLM_LONG, 400, flat=True),
        "no_such_model": Manner(404, "Not Found", "Model not found", 404, flat=True),
        "nothing_ready": Manner(
            503, "Service Unavailable", "Unavailable: No workers available for endpoint {endpoint}",
            503, flat=True,
        ),
    },
}  # fmt: skip
