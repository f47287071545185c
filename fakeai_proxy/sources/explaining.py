"""Why the cassette has no answer: the nearest recordings, what differs, the option that would have found
one, and how to record it. Knows nothing of who is told, nor when.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from fakeai_proxy.cassette.advice import Asked, advice
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.differences import Side, explain, likeness, shingles
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import (
    Destination,
    authority_hash,
    canonical_body,
    destination,
    route_hash,
    simhash,
)
from fakeai_proxy.cassette.redaction import credentials, echoes_of
from fakeai_proxy.cassette.tried import Explanation, Later
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import STALE, Exchange, Headers
from fakeai_proxy.profiles.spans import shown_span

NEAREST = 3
#: Candidates whose bodies are looked at, and those among which they are looked for where some of them
#: may have been recorded since.
_COMPARED = 12
_LOOKED_AMONG = 48
#: Differences named for each of the nearest, and in the message itself.
_TOLD = 10
_SAID = 3
#: Bodies above this are not compared, and those above that not kept to be compared later.
_COMPARED_BYTES = 4 << 20
_KEPT_BYTES = 1 << 20
#: A recording's instant is that of its request, give or take the rounding.
_INSTANT_S = 0.001


class Question(NamedTuple):
    """What was asked in vain. `asked` of so many recordings that there were is how often it was asked
    in its session; `recording` is the one that no longer counts, or 0. `asked_at` is the wall's:
    recordings from then on were not there."""

    method: str
    recorded_method: str
    where: Destination
    headers: Headers
    body: bytes | None
    size: int
    names_host: bool
    key: bytes
    asked: int
    there: int
    recording: int
    asked_at: float


class Explainer:
    """`upstream` is what its hint names, `leniency` is in force, `records` whether what is missing is
    recorded anyway."""

    def __init__(
        self,
        library: Library,
        upstream: str | None,
        clock: Clock,
        leniency: Leniency | None = None,
        by_credential: bool = False,
        records: bool = False,
    ) -> None:
        self._library = library
        self._upstream = upstream
        self._clock = clock
        self._leniency = leniency or Leniency()
        self._by_credential = by_credential
        self._records = records

    def question(self, exchange: Exchange, asked_at: float = math.inf) -> Question:
        request = exchange.request
        where = destination(request.origin, request.target, self._upstream)
        key = exchange.dice_key
        asked, there = self._library.told(key, authority_hash(where.authority), request.session)
        return Question(
            request.method,
            request.recorded_method,
            where,
            request.headers,
            request.body.in_memory,
            request.body.size,
            request.origin is not None,
            key,
            asked,
            there,
            exchange.recording if exchange.verdict == STALE else 0,
            asked_at,
        )

    def later(self, exchange: Exchange) -> Later:
        """For whoever may want to know after something else has answered."""
        clock = self._clock
        asked_at = clock.wall() - (clock.now() - exchange.arrived_at)
        question = self.question(exchange, asked_at)
        body = question.body
        if body is None or len(body) > _KEPT_BYTES:
            return Later(0, lambda: self.explained(question._replace(body=None)))
        return Later(len(body), lambda: self.explained(question))

    def explained(self, question: Question) -> Explanation:
        """What to say, and the nearest. Reads recordings: for a thread."""
        if question.recording:
            return Explanation(self._stale(question), [])
        library = self._library
        shown = self._shown(question)
        near: list[dict[str, object]] = [
            {**_told(shown, recorded), "option": self._option(question, recorded)}
            for recorded in self._nearest(question, shown)
        ]
        sentences = [self._opening(question, shown)]
        if not self._records and library.index.was_interrupted(question.key):
            sentences.append(
                "It was recorded, but interrupted: --replay-interrupted serves it as it is."
            )
        sentences += _of_the_nearest(near)
        if not near and not library.index.entries:
            sentences.append("The cassette is empty.")
        if not self._records:
            sentences.append(f"To record it: {self._command(question)}")
        return Explanation(" ".join(sentences), near)

    def _opening(self, question: Question, shown: Side) -> str:
        what = f"{shown.method} {_short(shown.target)}"
        if not question.there:
            return f"There is no recording of {what}."
        if self._by_credential:
            return f"{what} was recorded with another credential, and --match-credential is on."
        return (
            f"{what} was recorded {_times(question.there)} and has been asked {_times(question.asked)} "
            "in this session. --repeat last or --repeat loop answers it again."
        )

    def _stale(self, question: Question) -> str:
        """Of a recording that no longer counts."""
        library = self._library
        entry = library.index.by_id(question.recording)
        at = math.inf if entry is None else library.load(entry).at
        age = f"is {shown_span(max(0.0, self._clock.wall() - at))} old, more"
        if at >= question.asked_at - _INSTANT_S:  # another has taken its place
            age = "was older"
        cassette, name = library.paths[0], f"{question.recording:016x}"
        target = library.redactor.target(question.where.target, self._echoes(question))
        found = (
            f"Recording {name} of {question.method} {_short(target)} {age} than --max-age allows."
        )
        if self._records:
            return found
        return (
            f"{found} To record it again: fakeai-proxy --mode auto --cassette {cassette} "
            f"--rerecord {name}{self._from(question)}"
        )

    def _shown(self, question: Question) -> Side:
        """The request as it may be shown: without its secrets."""
        redactor, echoes = self._library.redactor, self._echoes(question)
        body: bytes | Blob = Blob("", question.size)
        if question.body is not None and len(question.body) <= _COMPARED_BYTES:
            body = redactor.body(question.body, question.headers, echoes).data
        return Side(
            question.recorded_method,
            question.where.authority,
            redactor.target(question.where.target, echoes),
            redactor.request_headers(question.headers, echoes),
            body,
        )

    def _nearest(self, question: Question, shown: Side) -> list[Interaction]:
        """By SimHash, which needs no bodies; the best of those by the words they share."""
        near: list[Interaction] = []
        for recorded in self._candidates(question):
            near.append(recorded)
            if len(near) == _COMPARED:
                break
        words = shingles(shown.body)
        near.sort(key=lambda recorded: -likeness(words, shingles(recorded.request.body)))
        return near[:NEAREST]

    def _candidates(self, question: Question) -> Iterator[Interaction]:
        """What was there when it was asked, the most alike first."""
        library = self._library
        wanted = 0
        if question.body is not None and len(question.body) <= _COMPARED_BYTES:
            wanted = simhash(canonical_body(question.headers, question.body))
        route = route_hash(question.recorded_method, question.where.target)
        among = _COMPARED if question.asked_at == math.inf else _LOOKED_AMONG
        found = False
        for where in (route, None):
            for entry in () if found else library.nearest(where, wanted, among):
                try:
                    recorded = library.load(entry)
                except CassetteError:
                    continue  # the miss is told all the same
                if recorded.at < question.asked_at - _INSTANT_S:
                    found = True
                    yield recorded

    def _option(self, question: Question, recorded: Interaction) -> str:
        """What would have made this one the answer, "" where nothing would."""
        body, before, where = question.body, recorded.request, question.where
        host = recorded.upstream.partition("://")[2].lower()
        if where.authority and where.authority != host:
            return ""
        if body is None or len(body) > _COMPARED_BYTES or not isinstance(before.body, bytes):
            return ""
        option = advice(
            self._leniency,
            Asked(question.recorded_method, where.target, question.headers, body),
            Asked(before.method, before.target, before.headers, before.body),
        )
        scrubbed = self._library.redactor.scrub(
            option.encode("utf-8", "replace"), self._echoes(question)
        )
        return scrubbed.decode()

    def _echoes(self, question: Question) -> tuple[bytes, ...]:
        return echoes_of(credentials(question.where.target, question.headers))

    def _command(self, question: Question) -> str:
        where = self._from(question)
        return f"fakeai-proxy --mode auto --cassette {self._library.paths[0]}{where}"

    def _from(self, question: Question) -> str:
        """The upstream, where the request does not name it."""
        if question.names_host:
            return ""
        return f" --upstream {self._upstream or 'https://API-HOST'}"


def _of_the_nearest(near: list[dict[str, object]]) -> Iterator[str]:
    if not near:
        return
    best = near[0]
    differences = best["differences"]
    assert isinstance(differences, list)
    named = f"Nearest: {best['id']} ({best['request']})"
    said = "; ".join(differences[:_SAID])
    yield f"{named}: {said}." if said else f"{named}."
    found = next((one for one in near if one["option"]), None)
    if found is not None:
        yield f"{found['id']} is found with {found['option']}."
    if len(near) > 1:
        others = ", ".join(f"{other['id']} ({other['request']})" for other in near[1:])
        yield f"Then: {others}."


def _told(shown: Side, recorded: Interaction) -> dict[str, object]:
    side = Side(
        recorded.request.method,
        recorded.upstream.partition("://")[2].lower(),
        recorded.request.target,
        recorded.request.headers,
        recorded.request.body,
    )
    model = recorded.view.get("model")
    name = f"{side.method} {_short(side.target)}"
    return {
        "id": recorded.id,
        "request": f"{name}, {model}" if isinstance(model, str) else name,
        "differences": [str(difference) for difference in explain(shown, side)[:_TOLD]],
    }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _short(target: str) -> str:
    return target if len(target) <= 120 else target[:117] + "..."
