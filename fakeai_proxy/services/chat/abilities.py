"""What a model can be asked for: sound, thoughts, predictions, searches; each rule raises the vendor's
error. Models that OpenAI does not serve are taken at their word.
"""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.services.answer.reasoning import default_effort
from fakeai_proxy.services.answer.senses import searches, speaks, takes_prediction
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import wire

#: What reasoning models refuse (platform.openai.com/docs/guides/reasoning).
_NOT_WHILE_REASONING = ("top_p", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias")
_DEFAULTS = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}


def check(request: wire.ChatRequest, card: ModelCard) -> None:
    """Raises 400."""
    _sound(request, card)
    _prediction(request, card)
    if not card.is_openai:
        return
    if card.reasoning:
        _reasoning(request, card)
    elif request.reasoning_effort not in (None, "none"):
        raise errors.unrecognized_arguments(["reasoning_effort"])
    if request.verbosity not in (None, "medium") and not card.can("verbosity"):
        raise errors.not_this_value("verbosity", request.verbosity, card.id, ("medium",))
    if request.web_search_options is not None and not searches(card):
        raise errors.bad_parameter(
            "web_search_options",
            "invalid_value",
            f"Web search options not supported with this model: '{card.id}'.",
        )


def _reasoning(request: wire.ChatRequest, card: ModelCard) -> None:
    asked = request.reasoning_effort
    if asked is not None and not card.efforts:
        raise errors.not_with_this_model("reasoning_effort")
    if asked is not None and asked not in card.efforts:
        raise errors.not_this_value("reasoning_effort", asked, card.id, card.efforts)
    if (asked or default_effort(card)) == "none":
        return
    if request.temperature not in (None, 1):
        raise errors.unsupported_value("temperature", request.temperature, 1)
    for param in _NOT_WHILE_REASONING:
        given = getattr(request, param)
        if not given or given == _DEFAULTS.get(param):
            continue
        if param in _DEFAULTS:
            raise errors.unsupported_value(param, given, _DEFAULTS[param])
        raise errors.not_with_this_model(param)


def _sound(request: wire.ChatRequest, card: ModelCard) -> None:
    wanted = "audio" in (request.modalities or ())
    if wanted and not speaks(card):
        raise errors.bad_parameter(
            "modalities",
            "invalid_value",
            "This model does not support the requested modalities: 'audio'. Supported modalities are: "
            f"{errors.listed(card.every_output)}.",
        )
    if wanted and request.audio is None:
        raise errors.missing_parameter("audio")
    if request.audio is None:
        return
    if not wanted:
        raise errors.only_allowed_when("audio", "'modalities' includes 'audio'")
    if request.stream and request.audio.format != "pcm16":
        raise errors.bad_parameter(
            "audio.format",
            "unsupported_value",
            f"Unsupported value: 'audio.format' does not support '{request.audio.format}' when "
            "stream=true. Supported values are: 'pcm16'.",
        )
    for param in ("response_format", "logprobs"):
        if getattr(request, param):
            raise errors.not_together(param, "audio")


def _prediction(request: wire.ChatRequest, card: ModelCard) -> None:
    """platform.openai.com/docs/guides/predicted-outputs, "Limitations"."""
    if request.prediction is None:
        return
    if not takes_prediction(card):
        raise errors.not_with_this_model("prediction")
    if (request.n or 1) > 1:
        raise errors.not_together("n", "prediction")
    for param in (
        "logprobs", "max_completion_tokens", "tools", "functions", "audio", "presence_penalty",
        "frequency_penalty",
    ):  # fmt: skip
        given = getattr(request, param)
        if given and (not isinstance(given, float | int) or given > 0):
            raise errors.not_together(param, "prediction")
