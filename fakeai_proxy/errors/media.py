"""400 for pictures, sound and files within a prompt that cannot be taken."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.bodies import bad_parameter
from fakeai_proxy.errors.kinds import ApiError


def not_an_image_url(path: str, got: str) -> ApiError:
    return bad_parameter(
        path,
        "invalid_value",
        f"Invalid '{path}'. Expected a base64-encoded data URL with an image MIME type (e.g. "
        f"'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got {got}.",
    )


def bad_base64(path: str) -> ApiError:
    return bad_parameter(
        path,
        "invalid_base64",
        f"Invalid '{path}'. Expected a valid base64-encoded value, but got a value that cannot be "
        "decoded.",
    )


def unsupported_image(formats: Sequence[str]) -> ApiError:
    return ApiError(
        400,
        "You uploaded an unsupported image. Please make sure your image has of one the following "
        f"formats: {list(formats)}.",
        code="invalid_image_format",
    )


def prompt_image_too_large(path: str, most_bytes: int) -> ApiError:
    return bad_parameter(
        path, "image_too_large", f"Invalid '{path}': images may have {most_bytes >> 20} MB at most."
    )


def content_not_supported(path: str, kind: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid content type. {kind} is only supported by certain models.",
        param=path,
    )


def not_a_pdf(path: str, kind: str) -> ApiError:
    return bad_parameter(
        path,
        "invalid_value",
        f"Invalid file data: '{path}'. Expected a base64-encoded data URL with an application/pdf MIME "
        f"type (e.g. 'data:application/pdf;base64,aGVsbG8='), but got {kind}.",
    )


def no_such_audio(path: str, audio_id: str) -> ApiError:
    return bad_parameter(
        path, "invalid_value", f"Invalid '{path}': no audio with id '{audio_id[:100]}' is known."
    )


def completion_not_found(name: str) -> ApiError:
    return ApiError(
        404, f"Chat completion with id '{name[:100]}' not found.", param="completion_id"
    )
