"""What was heard comes back from every form that a cassette takes, one made of the other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.rfc6455 import OPCODES
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.exchange import Headers
from tests.cassette.made import held, opened

#: Duplicates, any case, and bytes that no charset has.
_VALUES = st.binary(max_size=12) | st.sampled_from(
    [b"text/event-stream", b"application/json", b"a;b"]
)


def _headers(*names: bytes) -> st.SearchStrategy[Headers]:
    return st.lists(st.tuples(st.sampled_from(names), _VALUES), max_size=5).map(tuple)


#: Of requests only those that say nothing of their senders are kept.
_ASKED = _headers(b"Content-Type", b"Accept", b"accept", b"User-Agent")
_HEADERS = _headers(b"Content-Type", b"content-type", b"X-Odd", b"x-odd", b"ETag")
_BODIES = (
    st.binary(max_size=60)
    | st.sampled_from([b'{"a": 1.50, "b": ["\xc3\xa9"]}', b"data: 1\r\n\r\ndata: \xff\n\n", b"\xef\xbb{}"])
    | st.integers(60 << 10, 130 << 10).map(lambda size: bytes(range(256)) * (size // 256))
)  # fmt: skip
_TIMES = st.integers(0, 10**10)


@st.composite
def _cuts(draw: st.DrawFn, size: int) -> list[int]:
    places = sorted(draw(st.lists(st.integers(0, size), max_size=4)))
    return [after - before for before, after in pairwise([0, *places, size])]


@st.composite
def _heard(draw: st.DrawFn) -> Heard:
    body = draw(_BODIES)
    cuts = draw(_cuts(len(body)))
    return Heard(
        draw(st.integers(200, 599)),
        draw(_HEADERS),
        draw(st.sampled_from(["", "OK", "é"])),
        draw(_TIMES),
        Tape(body),
        cuts,
        [draw(_TIMES) for _ in cuts],
        draw(st.sampled_from(["eof", "reset", "timeout", "client_gone", "upstream_error"])),
    )


@st.composite
def _said(draw: st.DrawFn) -> Heard:
    messages = []
    for _ in range(draw(st.integers(0, 4))):
        op, data = draw(st.sampled_from(sorted(OPCODES))), draw(st.binary(max_size=30))
        cuts = tuple(draw(_cuts(len(data)))) if draw(st.booleans()) else ()
        sender: Any = draw(st.sampled_from(["client", "server"]))
        messages.append(Message(sender, op, draw(_TIMES), data, cuts))
    return Heard(101, draw(_HEADERS), "Switching Protocols", draw(_TIMES), messages=messages)


@st.composite
def _drafts(draw: st.DrawFn) -> list[Draft]:
    return [
        Draft(
            f"{draw(st.integers(0, 1 << 50)) << 4 | place:016x}",
            draw(st.floats(0, 4e9)),
            draw(st.sampled_from(["", "https://api.openai.com", "http://[::1]:8000"])),
            draw(st.sampled_from(["GET", "POST", "patch"])),
            draw(st.sampled_from(["/v1/x?a=1&a=2", "/\udcff\u00e9", "/"])),
            draw(_ASKED),
            draw(st.sampled_from(["", "one", "é"])),
            body=Tape(draw(_BODIES)),
            complete=draw(st.booleans()),
            heard=draw(_heard() | _said()),
        )
        for place in range(draw(st.integers(1, 4)))
    ]


def truth(draft: Draft) -> tuple[object, ...]:
    heard = draft.heard
    assert heard is not None
    return (
        draft.id, draft.at, draft.upstream, draft.method, draft.target, draft.headers, draft.session,
        draft.complete, draft.body.whole(), heard.status, heard.headers, heard.reason, heard.head_us,
        heard.end, tuple(heard.cuts), tuple(heard.gaps_us), heard.body.whole(),
        tuple(heard.messages or ()),
    )  # fmt: skip


def told(record: Interaction, asked: bytes, answered: bytes) -> tuple[object, ...]:
    request, response = record.request, record.response
    assert response is not None
    return (
        record.id, record.at, record.upstream, request.method, request.target, request.headers,
        record.session, request.complete, asked, response.status, response.headers, response.reason,
        response.head_us, response.end, response.cuts, response.gaps_us, answered, response.messages,
    )  # fmt: skip


def recorded(path: Path, drafts: list[Draft]) -> None:
    chosen = CassetteSettings(cassette=(path,), seal="never", durability="none")
    library = Library.open(chosen, SystemClock(), record=True)
    for draft in drafts:
        assert library.append(draft).result(timeout=30)
    library.close()


def played(path: Path) -> list[tuple[object, ...]]:
    """What a client would get: the reader that skips the request."""
    library = opened(path)
    found = []
    for entry in library.index.entries:
        script = library.script(entry)
        pieces = (chunk.data for chunk in script.chunks if isinstance(chunk.data, bytes))
        body = b"".join(library.blob(entry, script.blob) if script.blob else pieces)
        found.append((script.status, script.headers, body, script.messages))
    library.close()
    return found


@settings(max_examples=40, deadline=None)
@given(drafts=_drafts())
def test_what_was_heard_comes_back_from_every_form(drafts: list[Draft]) -> None:
    expected = [truth(draft) for draft in drafts]
    with TemporaryDirectory() as name:
        folder = Path(name)
        live = folder / "live.fcz"
        recorded(live, drafts)
        assert [told(*one) for one in held(live)] == expected
        heard = played(live)
        sealing.seal(live)
        forms = [live]
        for form in ("one.jsonl.zst", "plain.jsonl", "again.fcz", "last.jsonl"):
            rewriting.rewrite((forms[-1],), folder / form, None)
            forms.append(folder / form)
        for path in forms:
            assert [told(*one) for one in held(path)] == expected, path.name
            assert played(path) == heard, path.name
