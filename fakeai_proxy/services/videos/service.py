"""The operations: make a film, from words or from another film; look at it, fetch it, delete it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.generate.pictures.moving import Film, Variant, filmed
from fakeai_proxy.generate.pictures.painter import Brief
from fakeai_proxy.services import metering
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.paging import is_ascending, limit_of
from fakeai_proxy.services.prompt_safety import violation
from fakeai_proxy.services.videos.inputs import reference_of, uploaded
from fakeai_proxy.services.videos.record import CHARACTERS, POLL_MS, VIDEOS, Video, timed
from fakeai_proxy.services.videos.wire import (
    PROMPT_CHARS_MAX,
    CharacterForm,
    CreateForm,
    CreateRequest,
    EditForm,
    EditRequest,
    ExtendForm,
    ExtendRequest,
    Named,
    RemixForm,
    RemixRequest,
)
from fakeai_proxy.services.wire import Shape
from fakeai_proxy.store import Missing, Row

_MODEL, _SIZE, _SECONDS = "sora-2", "720x1280", 4
#: The API's reference: sizes that only the larger model has, and how long an extended film may be.
_PRO_SIZES, _SECONDS_MAX = ("1024x1792", "1792x1024"), 120
_VARIANTS: tuple[Variant, ...] = ("video", "thumbnail", "spritesheet")


def create_video(call: Call) -> Awaitable[Reply]:
    asked: CreateRequest = call.body
    _known(asked)
    name = asked.model if asked.model is not None else _MODEL
    card = call.catalogue.asked_for(call.params.get("deployment"), name, "video")
    size = asked.size or _SIZE
    if size in _PRO_SIZES and card.id.startswith("sora-2") and "pro" not in card.id:
        raise errors.invalid_value("size", size, ("720x1280", "1280x720"))
    width, height = map(int, size.split("x"))
    reference = reference_of(call, asked, width, height)
    seed = call.dice.number(call.dice_key, "film")
    film = Film(Brief(asked.prompt, width, height, seed), int(asked.seconds or _SECONDS), reference)
    return _started(call, card.id, asked.prompt, film)


def _started(
    call: Call, model: str, prompt: str, film: Film, remixed_from: str | None = None
) -> Awaitable[Reply]:
    """The film is made when somebody fetches it: what it takes is kept."""
    refused, brief = violation(prompt, None), film.brief
    said = {
        "prompt": brief.prompt, "width": brief.width, "height": brief.height,
        "seed": f"{brief.seed:x}", "seconds": film.seconds,
    }  # fmt: skip

    async def kept() -> Reply:
        blob = await call.store.blobs.put([film.reference]) if film.reference else None

        def make(row: Row) -> Row:
            row = row.merged(prompt=prompt, film=said, remixed_from=remixed_from)
            row = timed(
                replace(row, created_at=call.wall()), model, film.seconds, refused, call.pace
            )
            return row if blob is None else replace(row, blob=blob.name)

        reply = _shown(call, await VIDEOS.insert(call, make))
        if not refused:
            reply.usage = (metering.film(model, film.seconds, brief.width, brief.height),)
        return reply

    return kept()


def _film(call: Call, row: Row) -> Film:
    """In a thread."""
    said = row.document["film"]
    brief = Brief(said["prompt"], said["width"], said["height"], int(said["seed"], 16))
    reference = b""
    if row.blob is not None:
        with call.store.blobs.open_file(row.blob) as file:
            reference = file.read()
    return Film(brief, said["seconds"], reference)


def _shown(call: Call, row: Row) -> Reply:
    reply = VIDEOS.reply(call, row)
    reply.headers += ((b"openai-poll-after-ms", b"%d" % max(1, int(POLL_MS / call.pace))),)
    return reply


async def retrieve_video(call: Call) -> Reply:
    return _shown(call, await VIDEOS.row(call))


async def list_videos(call: Call) -> Reply:
    """A page may have no place for any."""
    query = call.query
    try:
        page = await call.store.page(
            VIDEOS.kind,
            call.project,
            after=query.get("after", ""),
            limit=limit_of(query.get("limit"), least=0),
            ascending=is_ascending(query.get("order"), default=False),
        )
    except Missing as error:
        raise errors.video_not_found(error.key.id) from None
    return VIDEOS.listing(call, page)


async def delete_video(call: Call) -> Reply:
    video = Video(await VIDEOS.row(call))
    if video.status_at(call.wall()) in ("queued", "in_progress"):
        raise errors.video_unfinished(video.id, "delete")
    return await VIDEOS.delete_one(call)


def video_content(call: Call) -> Reply:
    variant = next((one for one in _VARIANTS if one == call.query.get("variant", "video")), None)
    if variant is None:
        raise errors.invalid_value("variant", call.query["variant"], _VARIANTS)
    video = _found(call, call.params["video_id"])
    now = call.wall()
    status = video.status_at(now)
    if status == "failed":
        raise errors.video_failed(video.id)
    if status != "completed":
        raise errors.video_not_ready(video.id)
    if video.expired_at(now):
        raise errors.video_expired(video.id)
    data, content_type = filmed(_film(call, video.row), variant)
    headers = (
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % len(data)),
        (b"content-disposition", b'attachment; filename="%b.%b"' % (
            video.id.encode(), content_type.partition("/")[2].encode(),
        )),
    )  # fmt: skip
    return Reply(200, headers, [Chunk(data)])


def remix_video(call: Call) -> Awaitable[Reply]:
    asked: RemixRequest = call.body
    _known(asked)
    source = _done(call, call.params["video_id"], "remix")
    return _remixed(
        call, source.row.document["model"], _film(call, source.row), source.id, asked.prompt
    )


def edit_video(call: Call) -> Awaitable[Reply]:
    asked: EditRequest = call.body
    _known(asked)
    return _remixed(call, *_source(call, asked.video, "edit"), asked.prompt)


def _remixed(
    call: Call, model: str, film: Film, source_id: str | None, prompt: str
) -> Awaitable[Reply]:
    """The same scene, with what is said now seen first."""
    brief = replace(film.brief, prompt=f"{prompt} {film.brief.prompt}"[:PROMPT_CHARS_MAX])
    return _started(call, model, prompt, replace(film, brief=brief), source_id)


def extend_video(call: Call) -> Awaitable[Reply]:
    asked: ExtendRequest = call.body
    _known(asked)
    model, film, _ = _source(call, asked.video, "extend")
    seconds = film.seconds + int(asked.seconds)
    if seconds > _SECONDS_MAX:
        raise errors.bad_parameter(
            "seconds", "invalid_value",
            f"The extended video would be {seconds} seconds long, at most {_SECONDS_MAX} are supported.",
        )  # fmt: skip
    return _started(call, model, asked.prompt, replace(film, seconds=seconds))


def _source(call: Call, given: Named | Upload, verb: str) -> tuple[str, Film, str | None]:
    """Its model, itself and its id: a film that was made here, or one that is sent."""
    if isinstance(given, Upload):
        return _MODEL, uploaded(call, given), None
    video = _done(call, given.id, verb)
    return video.row.document["model"], _film(call, video.row), video.id


def _done(call: Call, video_id: str, verb: str) -> Video:
    video = _found(call, video_id)
    if video.status_at(call.wall()) != "completed":
        raise errors.video_unfinished(video.id, verb)
    return video


def _found(call: Call, video_id: str) -> Video:
    """Raises 404 and Unhurried."""
    return Video(call.wait_for(lambda: VIDEOS.row(call, video_id)))


def create_character(call: Call) -> Awaitable[Reply]:
    asked: CharacterForm = call.body
    _known(asked)
    uploaded(call, asked.video)  # a character is seen somewhere

    async def kept() -> Reply:
        row = await CHARACTERS.insert(call, lambda row: row.merged(name=asked.name))
        return CHARACTERS.reply(call, row)

    return kept()


def _known(asked: Shape) -> None:
    for name in asked.model_extra or ():
        raise errors.unknown_parameter(name[:100])


_ONE = "/videos/{video_id}"

OPERATIONS = (
    Operation(
        "createVideo", "POST", "/videos", create_video, CreateRequest, CreateForm, threaded=True
    ),
    Operation("listVideos", "GET", "/videos", list_videos),
    Operation("createVideoEdit", "POST", "/videos/edits", edit_video, EditRequest, EditForm),
    Operation(
        "createVideoExtend", "POST", "/videos/extensions", extend_video, ExtendRequest, ExtendForm
    ),
    Operation("createCharacter", "POST", CHARACTERS.path, create_character, form=CharacterForm),
    *CHARACTERS.operations(retrieve="getCharacter"),
    Operation("getVideo", "GET", _ONE, retrieve_video),
    Operation("deleteVideo", "DELETE", _ONE, delete_video),
    Operation("retrieveVideoContent", "GET", _ONE + "/content", video_content, threaded=True),
    Operation("createVideoRemix", "POST", _ONE + "/remix", remix_video, RemixRequest, RemixForm),
)
