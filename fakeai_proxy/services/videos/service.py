"""The operations: make a film, from words or from another film; look at it, fetch it, delete it."""

from __future__ import annotations

from dataclasses import replace

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.generate.pictures.moving import Film, Variant, filmed
from fakeai_proxy.generate.pictures.painter import Brief
from fakeai_proxy.services import metering
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.paging import cut, envelope
from fakeai_proxy.services.prompt_safety import violation
from fakeai_proxy.services.videos.inputs import reference_of, uploaded
from fakeai_proxy.services.videos.record import POLL_MS, Video
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
from fakeai_proxy.services.wire import Shape, json_reply

_MODEL, _SIZE, _SECONDS = "sora-2", "720x1280", 4
#: The API's reference: sizes that only the larger model has, and how long an extended film may be.
_PRO_SIZES, _SECONDS_MAX = ("1024x1792", "1792x1024"), 120
_CHARACTER, _CHARACTER_BYTES = "character", 1024
_VARIANTS: tuple[Variant, ...] = ("video", "thumbnail", "spritesheet")


def create_video(call: Call) -> Reply:
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
) -> Reply:
    video = Video(
        id=f"video_{call.dice.text_id(call.id_key, 'video', length=48).lower()}",
        created_at=call.wall(),
        model=model,
        prompt=prompt,
        film=film,
        pace=call.pace,
        refused=violation(prompt, None),
        remixed_from=remixed_from,
    )
    call.records.keep(Video.KIND, video.id, video, video.bytes)
    reply = _shown(call, video)
    if not video.refused:
        reply.usage = (metering.film(model, film.seconds, film.brief.width, film.brief.height),)
    return reply


def _shown(call: Call, video: Video) -> Reply:
    reply = json_reply(video.shown(call.wall()))
    reply.headers += ((b"openai-poll-after-ms", b"%d" % max(1, int(POLL_MS / call.pace))),)
    return reply


def retrieve_video(call: Call) -> Reply:
    return _shown(call, _found(call, call.params["video_id"]))


def list_videos(call: Call) -> Reply:
    """A page may have no place for any."""
    found = [call.records.find(Video.KIND, name) for name in call.records.ids(Video.KIND)]
    shown = [video.shown(call.wall()) for video in found if video is not None]
    page = cut(shown, call.query, errors.video_not_found, least=0)
    return json_reply(envelope(page.items, has_more=page.has_more))


def delete_video(call: Call) -> Reply:
    video = _found(call, call.params["video_id"])
    if video.status_at(call.wall()) in ("queued", "in_progress"):
        raise errors.video_unfinished(video.id, "delete")
    call.records.forget(Video.KIND, video.id)
    return json_reply({"id": video.id, "object": "video.deleted", "deleted": True})


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
    data, content_type = filmed(video.film, variant)
    headers = (
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % len(data)),
        (b"content-disposition", b'attachment; filename="%b.%b"' % (
            video.id.encode(), content_type.partition("/")[2].encode(),
        )),
    )  # fmt: skip
    return Reply(200, headers, [Chunk(data)])


def remix_video(call: Call) -> Reply:
    asked: RemixRequest = call.body
    _known(asked)
    source = _done(call, call.params["video_id"], "remix")
    return _remixed(call, source.model, source.film, source.id, asked.prompt)


def edit_video(call: Call) -> Reply:
    asked: EditRequest = call.body
    _known(asked)
    return _remixed(call, *_source(call, asked.video, "edit"), asked.prompt)


def _remixed(call: Call, model: str, film: Film, source_id: str | None, prompt: str) -> Reply:
    """The same scene, with what is said now seen first."""
    brief = replace(film.brief, prompt=f"{prompt} {film.brief.prompt}"[:PROMPT_CHARS_MAX])
    return _started(call, model, prompt, replace(film, brief=brief), source_id)


def extend_video(call: Call) -> Reply:
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
    return video.model, video.film, video.id


def _done(call: Call, video_id: str, verb: str) -> Video:
    video = _found(call, video_id)
    if video.status_at(call.wall()) != "completed":
        raise errors.video_unfinished(video.id, verb)
    return video


def _found(call: Call, video_id: str) -> Video:
    found: Video | None = call.records.find(Video.KIND, video_id)
    if found is None:
        raise errors.video_not_found(video_id)
    return found


def create_character(call: Call) -> Reply:
    asked: CharacterForm = call.body
    _known(asked)
    uploaded(call, asked.video)  # a character is seen somewhere
    character_id = f"char_{call.dice.text_id(call.id_key, 'character')}"
    character = {"id": character_id, "name": asked.name, "created_at": call.created}
    call.records.keep(_CHARACTER, character_id, character, _CHARACTER_BYTES)
    return json_reply(character)


def retrieve_character(call: Call) -> Reply:
    found = call.records.find(_CHARACTER, call.params["character_id"])
    if found is None:
        raise errors.character_not_found(call.params["character_id"])
    return json_reply(found)


def _known(asked: Shape) -> None:
    for name in asked.model_extra or ():
        raise errors.unknown_parameter(name[:100])


_ONE, _CHARACTERS = "/videos/{video_id}", "/videos/characters"

OPERATIONS = (
    Operation(
        "createVideo", "POST", "/videos", create_video, CreateRequest, CreateForm, threaded=True
    ),
    Operation("listVideos", "GET", "/videos", list_videos),
    Operation("createVideoEdit", "POST", "/videos/edits", edit_video, EditRequest, EditForm),
    Operation(
        "createVideoExtend", "POST", "/videos/extensions", extend_video, ExtendRequest, ExtendForm
    ),
    Operation("createCharacter", "POST", _CHARACTERS, create_character, form=CharacterForm),
    Operation("getCharacter", "GET", _CHARACTERS + "/{character_id}", retrieve_character),
    Operation("getVideo", "GET", _ONE, retrieve_video),
    Operation("deleteVideo", "DELETE", _ONE, delete_video),
    Operation("retrieveVideoContent", "GET", _ONE + "/content", video_content, threaded=True),
    Operation("createVideoRemix", "POST", _ONE + "/remix", remix_video, RemixRequest, RemixForm),
)
