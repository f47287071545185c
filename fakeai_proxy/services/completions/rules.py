"""What a completion request must obey beyond its shape; each rule raises the vendor's error."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.completions import wire
from fakeai_proxy.services.completions.prompts import Prompt
from fakeai_proxy.services.extras import unknown_arguments


def check(request: wire.CompletionRequest, card: ModelCard, strict: bool) -> None:
    """Raises ApiError. `strict` refuses what only vLLM and NIM know."""
    unknown_arguments(request, strict, wire.EXTRAS, wire.HONOURED_EXTRAS)
    if request.stream_options is not None and not request.stream:
        raise errors.only_allowed_when("stream_options", "'stream' is enabled")
    _candidates(request)
    if card.is_openai and (request.logprobs or 0) > wire.HOSTED_LOGPROBS_MAX:
        raise errors.out_of_range(
            "logprobs", "integer", "<=", wire.HOSTED_LOGPROBS_MAX, request.logprobs
        )
    if request.stream and request.prompt_logprobs is not None:
        raise errors.bad_request("`prompt_logprobs` are not available when `stream=True`.")
    least, most = request.min_tokens or 0, request.max_tokens
    if most is not None and least > most:
        raise errors.bad_request(
            f"min_tokens must be less than or equal to max_tokens={most}, got {least}."
        )


def _candidates(request: wire.CompletionRequest) -> None:
    n, best_of = request.answers, request.candidates
    if n > best_of:
        raise errors.bad_parameter(
            "best_of",
            None,
            "You requested that the server return more choices than it will generate (HINT: you must "
            f"set 'n' (currently {n}) to be at most 'best_of' (currently {best_of}), or omit either "
            "parameter if you don't specifically want to use them.)",
        )
    if request.stream and best_of > n:
        raise errors.bad_parameter(
            "stream",
            None,
            "You requested that the server stream choices that it has yet to choose (HINT: 'best_of' "
            f"(currently {best_of}) cannot be greater than 'n' (currently {n}) if 'stream' is set.)",
        )


def check_room(prompt: Prompt, answer_tokens: int, card: ModelCard) -> None:
    """Raises 400 where prompt and answer are longer than the model's context."""
    most, length = card.context_tokens, len(prompt.ids)
    if length + answer_tokens > most:
        raise errors.no_room_for_completion(most, length, answer_tokens)
