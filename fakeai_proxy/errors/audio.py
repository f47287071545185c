"""400: what is wrong with sound, or with what is asked of it. The words are the vendor's where it has any."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.bodies import bad_parameter, listed, shown
from fakeai_proxy.errors.kinds import ApiError, hinted

#: platform.openai.com/docs/api-reference/audio/createTranscription, as its error spells them.
_READABLE = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm"]


def audio_extra_missing(path: str, what: str) -> ApiError:
    message = hinted(
        f"{what} takes codecs that are not installed here.",
        "Run pip install 'fakeai-proxy[audio]', or use wav or pcm.",
    )
    return bad_parameter(path, "unsupported_format", message)


def undecodable_audio(path: str = "file") -> ApiError:
    return bad_parameter(
        path, "invalid_value", f"Invalid file format. Supported formats: {_READABLE}"
    )


def audio_too_short(least_s: float, path: str = "file") -> ApiError:
    message = f"Audio file is too short. Minimum audio length is {least_s:g} seconds."
    return bad_parameter(path, "audio_too_short", message)


def audio_too_long(duration_s: float, most_s: float, path: str = "file") -> ApiError:
    message = (
        f"audio duration {duration_s:.1f} seconds is longer than {most_s:g} seconds which is the "
        "maximum for this model"
    )
    return bad_parameter(path, "invalid_value", message)


def format_unfit(given: str, model: str, fit: Sequence[str]) -> ApiError:
    """For a `response_format` that a model does not write."""
    message = (
        f"response_format '{given}' is not compatible with model '{model}'. Use "
        f"{listed(fit)} instead."
    )
    return bad_parameter("response_format", "unsupported_value", message)


def not_with_model(param: str, model: str) -> ApiError:
    message = f"The parameter '{param}' is not supported with model '{shown(model)}'."
    return bad_parameter(param, "unsupported_parameter", message)


def unknown_language(given: str, path: str = "language") -> ApiError:
    message = (
        f"Invalid language '{shown(given)}'. Language parameter must be specified in ISO-639-1 "
        "format."
    )
    return bad_parameter(path, "invalid_language_format", message)


def unknown_voice(given: str) -> ApiError:
    return bad_parameter("voice", "voice_not_found", f"No voice with id '{shown(given)}' found.")
