"""`serve`: cassettes as a server, with what is on them and a line to try."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fakeai_proxy.cassette.counting import recordings
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.shapes import PLACEHOLDER
from fakeai_proxy.cassette.stats import Stats
from fakeai_proxy.cli.cassette.reading import CassettePath, loaded, opened
from fakeai_proxy.exchange import is_event_stream

if TYPE_CHECKING:
    from fakeai_proxy.cli.banner import Banner

#: Recordings that are looked into; there may be a million.
_READ_MAX = 500
#: Names that are told of each kind.
_NAMES_MAX = 5
#: A request that a person would copy is no longer.
_BODY_BYTES_MAX = 1500


class _Serving(click.Command):
    """Its options are the server's, made when they are needed: they take a while to import."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if len(self.params) == 1:
            from fakeai_proxy.cli.options import with_settings

            with_settings(self)
        return super().get_params(ctx)


@click.command(cls=_Serving)
@click.argument("paths", type=CassettePath(), nargs=-1, required=True)
@click.pass_context
def serve(ctx: click.Context, /, paths: tuple[Path, ...], **_: object) -> int:
    """Answer from the recordings in PATHS, and say what they hold: --mode replay --cassette PATHS.

    Another mode that replays may be given, such as --mode hybrid, which makes up what they lack.
    """
    from fakeai_proxy.cli import serve as serving
    from fakeai_proxy.cli.options import given, load
    from fakeai_proxy.errors import ConfigError

    if "cassette" in given(ctx):
        raise click.UsageError("Name all cassettes as PATHS, instead of --cassette.")
    config = load(ctx, {"mode": "replay", "cassette": tuple(map(str, paths))})
    if config.miss is None:
        raise ConfigError(f"mode {config.mode} does not replay: use replay, auto or hybrid.")
    surveys = [_survey(path) for path in paths]

    def told(banner: Banner) -> Banner:
        tried = next((lines for _, lines in surveys if lines), None)
        first = banner.first if tried is None else " ".join(tried).replace("URL", banner.url, 1)
        return replace(banner, holds=[text for text, _ in surveys], first=first)

    return serving.serve(config, told)


def _survey(path: Path) -> tuple[str, Sequence[str]]:
    """What PATH holds, and a curl line in parts, with URL where the server's is to stand."""
    found, shortest = Stats(), None
    with closing(opened(path)) as library:
        entries = library.index.entries
        for number, entry in enumerate(entries[:_READ_MAX]):
            record = loaded(library, entry)
            found.add(number, record)
            if _can_be_tried(record) and (
                shortest is None or len(_body(record)) < len(_body(shortest))
            ):
                shortest = record
        count = len(entries)
    return _worded(path, count, found.told()), [] if shortest is None else list(_curl(shortest))


def _worded(path: Path, count: int, told: dict[str, Any]) -> str:
    parts = [f"{path}: {recordings(count)}"]
    if count > _READ_MAX:
        parts[0] += f", of the first {_READ_MAX}"
    for kind in ("models", "routes"):
        names = [f"{name} {times}" for name, times in told[kind].items() if name != "none"]
        more = [f"{len(names) - _NAMES_MAX} more"] if len(names) > _NAMES_MAX else []
        if names:
            parts.append(f"{kind} {', '.join([*names[:_NAMES_MAX], *more])}")
    return "; ".join(parts)


def _can_be_tried(record: Interaction) -> bool:
    """Whether a person can ask it again as it was: short, text, and nothing taken out of it."""
    request, response = record.request, record.response
    return (
        response is not None
        and response.status == 200
        and record.whole
        and isinstance(request.body, bytes)
        and len(request.body) <= _BODY_BYTES_MAX
        and request.method in ("GET", "POST")
        and request.body.isascii()
        and PLACEHOLDER.search(request.body + request.target.encode()) is None
    )


def _body(record: Interaction) -> bytes:
    body = record.request.body
    # What a model answers is tried before what is only listed.
    return body if isinstance(body, bytes) and body else b" " * (_BODY_BYTES_MAX + 1)


def _curl(record: Interaction) -> Iterator[str]:
    request, response = record.request, record.response
    assert response is not None, "what can be tried has a reply"
    yield "curl -N" if is_event_stream(response.headers) else "curl"
    yield "URL" + shlex.quote(request.target)
    for name, value in request.headers:
        if name.lower() == b"content-type":
            yield "-H " + shlex.quote("content-type: " + value.decode("latin-1"))
    if isinstance(request.body, bytes) and request.body:
        yield f"--data-raw {shlex.quote(request.body.decode())}"
