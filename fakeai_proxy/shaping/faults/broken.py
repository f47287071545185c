"""Faults of the framing: bodies that end early, events that are lost, doubled, out of order or no JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import Field

from fakeai_proxy.errors import KINDS, of_kind
from fakeai_proxy.exchange import Chunk, Reply, is_event_stream
from fakeai_proxy.providers import stream_error
from fakeai_proxy.shaping.faults.frames import Place, is_data, is_last, payload, says
from fakeai_proxy.shaping.faults.kinds import (
    EVENTS,
    STREAM,
    Case,
    Fault,
    Kind,
    Params,
    Stage,
    Stop,
    Where,
    counted_bytes,
    edited,
    inserted,
)

Act = Callable[[Chunk], Iterable[Chunk]]


class At(Stage):
    """Lets some tokens pass, then does its act to the next frame that is `fit` for it; and stops there
    where `stop` is given."""

    def __init__(
        self,
        place: Place,
        act: Act,
        stop: Stop | None = None,
        fit: Callable[[Chunk], bool] = lambda frame: True,
    ) -> None:
        self._place = place
        self._act = act
        self._stop = stop
        self._fit = fit
        self._done = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if self._done:
            return (chunk,)
        if not self._place.reached(chunk) or not self._fit(chunk):
            return (chunk,)
        self._done = True
        self.stopped = self._stop
        return self._act(chunk)


class Each(Stage):
    """Does its act to every frame."""

    def __init__(self, act: Act) -> None:
        self._act = act

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        return self._act(chunk)


class Front(Stage):
    """The first bytes of a body that is no stream; the rest is taken away."""

    def __init__(self, share: float, total: int | None, stop: Stop) -> None:
        self._share = share
        self._left = None if total is None else int(total * share)
        self._stop = stop

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        share, left = self._share, self._left
        if left is None:
            self.stopped = self._stop
            return (edited(chunk, lambda data: data[: int(len(data) * share)]),)
        front = edited(chunk, lambda data: data[:left])
        self._left = left - (len(chunk.data) if isinstance(chunk.data, bytes) else left)
        if self._left <= 0:
            self.stopped = self._stop
        return (front,)


# --- ends -------------------------------------------------------------------------------------------


class Cut(Where):
    within: bool = Field(
        False, description="Half of the next event still comes, so that the cut is within it."
    )


def _half(frame: Chunk) -> Iterable[Chunk]:
    return (edited(frame, lambda data: data[: len(data) // 2]),)


def _nothing(frame: Chunk) -> Iterable[Chunk]:
    return ()


def _ended(params: Cut, reply: Reply, stop: Stop) -> Stage:
    if is_event_stream(reply.headers):
        return At(Place(params, reply), _half if params.within else _nothing, stop)
    return Front(params.part(reply), counted_bytes(reply), stop)


def _cut(params: Cut, case: Case, reply: Reply) -> Stage:
    return _ended(params, reply, Stop.CUT)


def _truncate(params: Cut, case: Case, reply: Reply) -> Stage:
    return _ended(params, reply, Stop.WHOLE)


def _reset(params: Cut, case: Case) -> None:
    case.link.resets = True


class ErrorEvent(Where):
    kind: Kind = Field("server_error", description="Which error: " + ", ".join(KINDS) + ".")
    message: str | None = Field(
        None, description="The error's message; the vendor's own otherwise."
    )


def _error_event(params: ErrorEvent, case: Case, reply: Reply) -> Stage:
    error = of_kind(params.kind, params.message)
    event = stream_error(case.provider, error, case.exchange.request.path)
    return At(Place(params, reply), lambda frame: (inserted(event, frame),), Stop.WHOLE)


class Nothing(Params):
    pass


def _no_done(params: Nothing, case: Case, reply: Reply) -> Stage:
    return Each(lambda frame: () if is_last(frame) else (frame,))


def _double_done(params: Nothing, case: Case, reply: Reply) -> Stage:
    return Each(lambda frame: (frame, frame._replace(tokens=0)) if is_last(frame) else (frame,))


# --- order ------------------------------------------------------------------------------------------


class EveryFrame(Params):
    nth: int = Field(1, ge=1, description="Every event with such a number; 1 for all of them.")


class _Nth(Stage):
    """Does its act to every nth frame."""

    def __init__(self, nth: int, act: Act, fit: Callable[[Chunk], bool]) -> None:
        self._nth = nth
        self._act = act
        self._fit = fit
        self._count = 0

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if not self._fit(chunk):
            return (chunk,)
        self._count += 1
        return (chunk,) if self._count % self._nth else self._act(chunk)


def _duplicate(params: EveryFrame, case: Case, reply: Reply) -> Stage:
    return _Nth(params.nth, lambda frame: (frame, frame._replace(tokens=0)), is_data)


def _comments(params: EveryFrame, case: Case, reply: Reply) -> Stage:
    return _Nth(params.nth, lambda frame: (inserted(b": keep-alive\n\n", frame), frame),
                lambda frame: True)  # fmt: skip


class _Swapped(Stage):
    """Two neighbours change places, once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._held: Chunk | None = None
        self._done = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if self._done:
            return (chunk,)
        if self._held is not None:
            held, self._held, self._done = self._held, None, True
            # Their instants stay where they are.
            return (chunk._replace(age_s=held.age_s), held._replace(age_s=chunk.age_s))
        if not self._place.reached(chunk):
            return (chunk,)
        self._held = chunk
        return ()

    def end(self) -> Iterable[Chunk]:
        return () if self._held is None else (self._held,)


def _reorder(params: Where, case: Case, reply: Reply) -> Stage:
    return _Swapped(Place(params, reply))


# --- bytes ------------------------------------------------------------------------------------------


def _no_blank_line(params: EveryFrame, case: Case, reply: Reply) -> Stage:
    def joined(data: bytes) -> bytes:
        body = data.rstrip(b"\r\n")
        return body + (b"\r\n" if data.endswith(b"\r\n") else b"\n")

    return _Nth(params.nth, lambda frame: (edited(frame, joined),), is_data)


def _malformed_json(params: Where, case: Case, reply: Reply) -> Stage:
    def broken(data: bytes) -> bytes:
        """Without its last brace."""
        place = payload(data)
        end = len(data) if place is None else place[1]
        brace = data.rfind(b"}", 0, end)
        return data if brace < 0 else data[:brace] + data[brace + 1 :]

    place = Place(params, reply) if is_event_stream(reply.headers) else Place()
    return At(place, lambda frame: (edited(frame, broken),), fit=_has_json)


def _has_json(frame: Chunk) -> bool:
    return not isinstance(frame.data, bytes) or (
        payload(frame.data) is not None and not is_last(frame)
    )


class HugeEvent(Where):
    bytes: int = Field(1 << 20, ge=1, le=64 << 20, description="By how much it is larger.")


def _huge_event(params: HugeEvent, case: Case, reply: Reply) -> Stage:
    def padded(data: bytes) -> bytes:
        place = payload(data)
        brace = -1 if place is None else data.find(b"{", *place)
        if brace < 0:
            return data
        padding = b'"padding":"%b",' % (b"x" * max(0, params.bytes - 13))
        return data[: brace + 1] + padding + data[brace + 1 :]

    place = Place(params, reply) if is_event_stream(reply.headers) else Place()
    return At(place, lambda frame: (edited(frame, padded),), fit=_has_json)


class _SplitLetters(Stage):
    """Events are cut between the bytes of a letter, and the halves come apart."""

    def __init__(self, case: Case, pause_s: float, drop: bool) -> None:
        self._case = case
        self._pause_s = pause_s
        self._drop = drop
        self._frames = 0

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        self._frames += 1
        if not says(chunk):
            return (chunk,)
        data = _with_letter(chunk.data if isinstance(chunk.data, bytes) else b"")
        place = next((k for k, byte in enumerate(data) if byte >= 0xC0), None)
        if place is None:
            return (chunk,)
        if self._drop:
            return (chunk._replace(data=data[: place + 1] + data[place + 2 :]),)
        self._case.link.holds[self._frames] = self._pause_s
        self._frames += 1
        return (chunk._replace(data=data[: place + 1]), inserted(data[place + 1 :], chunk))


def _with_letter(data: bytes) -> bytes:
    """A frame whose text has a letter of two bytes; an é is added where it has none."""
    if not data.isascii():
        return data
    for quote in (b'"content":"', b'"text":"', b'"delta":"', b'"arguments":"', b'"partial_json":"'):
        place = data.find(quote)
        if place >= 0:
            place += len(quote)
            return data[:place] + "é".encode() + data[place:]
    return data


class SplitUtf8(Params):
    ms: float = Field(50, gt=0, description="Milliseconds between the halves.")
    drop: bool = Field(False, description="The second byte is lost, so that it is no UTF-8 at all.")


def _split_utf8(params: SplitUtf8, case: Case, reply: Reply) -> Stage:
    return _SplitLetters(case, params.ms / 1000, params.drop)


FAULTS = (
    Fault("cut", "Closes the connection within the answer, without the end that the protocol asks for",
          Cut, "cut:after=20,p=0.03", stage=_cut, unit=EVENTS, keeps_length=True),
    Fault("reset", "Resets the connection (RST) within the answer; after=0 is before its first event",
          Cut, "reset:share=0.3,p=0.01", stage=_cut, line=_reset, unit=EVENTS, keeps_length=True),
    Fault("truncate", "Ends the answer early, as if that were all: a right length for what is sent",
          Cut, "truncate:share=0.8", stage=_truncate, unit=EVENTS),
    Fault("error_event", "Sends the vendor's error event within a stream, then ends it",
          ErrorEvent, "error_event:after=10", stage=_error_event, on=STREAM),
    Fault("no_done", "Leaves out the last event ([DONE], message_stop)", Nothing, "no_done",
          stage=_no_done, on=STREAM),
    Fault("double_done", "Sends the last event twice", Nothing, "double_done", stage=_double_done,
          on=STREAM),
    Fault("duplicate", "Sends events twice", EveryFrame, "duplicate:nth=3", stage=_duplicate, on=STREAM),
    Fault("reorder", "Two neighbouring events change places", Where, "reorder:after=5", stage=_reorder,
          on=STREAM),
    Fault("comments", "Puts keep-alive comments between events", EveryFrame, "comments:nth=5",
          stage=_comments, on=STREAM),
    Fault("no_blank_line", "Leaves out the blank line after events", EveryFrame, "no_blank_line:nth=4",
          stage=_no_blank_line, on=STREAM),
    Fault("malformed_json", "Leaves out a closing brace", Where, "malformed_json:after=5",
          stage=_malformed_json),
    Fault("huge_event", "Makes one event, or the body, very large", HugeEvent, "huge_event:bytes=5000000",
          stage=_huge_event),
    Fault("split_utf8", "Cuts events between the bytes of a letter, and sends the halves apart",
          SplitUtf8, "split_utf8", stage=_split_utf8, on=STREAM, rank=1),
)  # fmt: skip
