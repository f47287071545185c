"""What is wrong with a request for pictures or films, in the vendor's words."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.bodies import bad_parameter, bad_request
from fakeai_proxy.errors.kinds import ApiError


def size_unsupported(size: str, known: bool, supported: Sequence[str]) -> ApiError:
    """`known`: some other model has it."""
    if known:
        return ApiError(400, "The size is not supported by this model.", code="invalid_size")
    return bad_request(f"{size[:100]!r} is not one of {list(supported)!r} - 'size'")


def one_image_only() -> ApiError:
    return ApiError(400, "You must provide n=1 for this model.", code="invalid_n")


def prompt_rejected() -> ApiError:
    return ApiError(
        400,
        "Your request was rejected as a result of our safety system. Your prompt may contain text "
        "that is not allowed by our safety system.",
        code="content_policy_violation",
    )


def image_blocked(violation: str, request: str) -> ApiError:
    """`request` is the id to tell the vendor's support."""
    return ApiError(
        400,
        "Your request was rejected by the safety system. If you believe this is an error, contact us "
        f"at help.openai.com and include the request ID {request}. safety_violations=[{violation}].",
        type="image_generation_user_error",
        code="moderation_blocked",
        detail={"moderation_details": {"moderation_stage": "input", "categories": [violation]}},
    )


def transparent_jpeg() -> ApiError:
    return bad_parameter(
        "background", "invalid_value",
        "Transparent background is not supported for JPEG output format.",
    )  # fmt: skip


def png_compression() -> ApiError:
    return bad_parameter(
        "output_compression", "invalid_png_output_compression",
        "Compression less than 100 is not supported for PNG output format.",
    )  # fmt: skip


def unsupported_image_type(param: str, content_type: str) -> ApiError:
    return bad_parameter(
        param, "unsupported_file_mimetype",
        f"Invalid file '{param}': unsupported mimetype ('{content_type[:100]}'). Supported file formats "
        "are 'image/jpeg', 'image/png', and 'image/webp'.",
    )  # fmt: skip


def invalid_image(param: str, index: int) -> ApiError:
    """`index` counts from 0."""
    return bad_parameter(
        param, "invalid_image_file",
        f"Invalid image file or mode for image {index + 1}, please check your image file.",
    )  # fmt: skip


def image_too_large(param: str, size_bytes: int, most_bytes: int) -> ApiError:
    return bad_parameter(
        param, "image_too_large",
        f"Invalid file '{param}': the image is {size_bytes} bytes, at most {most_bytes} are supported.",
    )  # fmt: skip


def not_a_small_png() -> ApiError:
    return bad_request("Uploaded image must be a PNG and less than 4 MB.")


def image_not_square() -> ApiError:
    return bad_request("Invalid input image - image must be square.")


def image_mode(mode: str) -> ApiError:
    return bad_request(f"Invalid input image - format must be in ['RGBA', 'LA', 'L'], got {mode}.")


def invalid_mask(reason: str) -> ApiError:
    return bad_parameter(
        "mask", "invalid_mask_image_format", f"Invalid mask image format - {reason}"
    )


def image_not_fetched(param: str, url: str) -> ApiError:
    return bad_parameter(
        param, "invalid_image_url",
        f"Failed to download image from {url[:200]}. Data URLs and the URLs of images made here can be "
        "read.",
    )  # fmt: skip


def one_image_reference(param: str) -> ApiError:
    return bad_parameter(
        param,
        "invalid_value",
        f"Invalid '{param}': provide exactly one of 'image_url' or 'file_id'.",
    )


def media_unknown() -> ApiError:
    return ApiError(404, "There is no such file. It may have been forgotten to make room.")


def media_expired() -> ApiError:
    return ApiError(403, "This URL has expired: it was valid for 60 minutes.")


def video_not_found(video_id: str) -> ApiError:
    return ApiError(404, f"Video with id '{video_id[:100]}' not found.", param="video_id")


def video_not_ready(video_id: str) -> ApiError:
    return ApiError(
        404, f"Video is not ready yet, use GET /v1/videos/{video_id} to check status.",
        code="video_not_ready",
    )  # fmt: skip


def video_failed(video_id: str) -> ApiError:
    return ApiError(
        404, f"Video '{video_id}' has failed, so it has no content.", code="video_failed"
    )


def video_expired(video_id: str) -> ApiError:
    return ApiError(404, f"The content of video '{video_id}' has expired.", code="video_expired")


def video_unfinished(video_id: str, verb: str) -> ApiError:
    return ApiError(
        400, f"Cannot {verb} video '{video_id}' before it is completed.", param="video_id",
        code="video_not_completed",
    )  # fmt: skip


def reference_size(width: int, height: int) -> ApiError:
    return bad_parameter(
        "input_reference", "invalid_value",
        f"Inpaint image must match the requested width and height ({width}x{height}).",
    )  # fmt: skip


def video_unreadable() -> ApiError:
    return ApiError(
        400, "Invalid file 'video': it is no video that can be read.", param="video",
        code="invalid_video_file",
        hint="MP4 takes the extra: pip install 'fakeai-proxy[audio]'; without it, animated WebP and GIF.",
    )  # fmt: skip


def character_not_found(character_id: str) -> ApiError:
    return ApiError(
        404, f"Character with id '{character_id[:100]}' not found.", param="character_id"
    )
