"""What a request that was never recorded is told: the nearest recordings, what differs, and how to
record it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fakeai_proxy.cassette.advice import Asked, advice
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.differences import Side, explain, likeness, shingles
from fakeai_proxy.cassette.entries import Entry
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
from fakeai_proxy.errors import CassetteError, cassette_miss
from fakeai_proxy.exchange import STALE, Exchange, Reply, Request
from fakeai_proxy.profiles.spans import shown_span

NEAREST = 3
#: Candidates whose bodies are looked at.
_COMPARED = 12
#: Differences named for each of the nearest, and in the message itself.
_TOLD = 10
_SAID = 3
#: Bodies above this are not compared.
_COMPARED_BYTES = 4 << 20


class Miss:
    """A Source that has no answers. `cassettes` and `upstream` are what its hint names."""

    def __init__(
        self,
        library: Library,
        upstream: str | None = None,
        wall: Callable[[], float] = lambda: 0.0,
        leniency: Leniency | None = None,
        by_credential: bool = False,
    ) -> None:
        """`wall` is the time now, for telling ages; `leniency` is in force."""
        self._wall = wall
        self._by_credential = by_credential
        self._leniency = leniency or Leniency()
        self._library = library
        self._upstream = upstream

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises 404 `cassette_miss`, always."""
        request = exchange.request
        where = destination(request.origin, request.target, self._upstream)
        if exchange.verdict == STALE:
            message = await asyncio.to_thread(self._stale, request, where, exchange.recording)
            self._library.tried.explain(exchange.id, message, ())
            raise cassette_miss(message, ())
        message, near = await asyncio.to_thread(self._explained, request, where, exchange.dice_key)
        self._library.tried.explain(exchange.id, message, near)
        raise cassette_miss(message, near)

    async def close(self) -> None:
        pass

    def _stale(self, request: Request, where: Destination, number: int) -> str:
        """Of a recording that no longer counts."""
        library = self._library
        entry = library.index.by_id(number)
        age = 0.0
        if entry is not None:
            age = max(0.0, self._wall() - library.load(entry).at)
        cassette, name = library.paths[0], f"{number:016x}"
        target = library.redactor.target(
            where.target, echoes_of(credentials(where.target, request.headers))
        )
        return (
            f"Recording {name} of {request.method} {_short(target)} is {shown_span(age)} old, more than "
            f"--max-age allows. To record it again: fakeai-proxy --mode auto --cassette {cassette} "
            f"--rerecord {name}{self._from(request)}"
        )

    def _explained(
        self, request: Request, where: Destination, key: bytes
    ) -> tuple[str, list[dict[str, object]]]:
        library = self._library
        asked = self._asked(request, where)
        near = [
            {**_told(asked, recorded), "option": self._option(request, where, recorded)}
            for recorded in self._nearest(request, where, asked)
        ]
        sentences = [f"There is no recording of {asked.method} {_short(asked.target)}."]
        times, there = library.told(key, authority_hash(where.authority), request.session)
        if there:
            sentences = [
                f"{asked.method} {_short(asked.target)} was recorded {_times(there)}, and this is the "
                f"{times}th time that it is asked in this session. --repeat last or --repeat loop "
                "answers it again."
            ]
            if self._by_credential:
                sentences = [
                    f"{asked.method} {_short(asked.target)} was recorded with another credential, and "
                    "--match-credential is on."
                ]
        if library.index.was_interrupted(key):
            sentences.append(
                "It was recorded, but interrupted: --replay-interrupted serves it as it is."
            )
        if near:
            best = near[0]
            differences = best["differences"]
            assert isinstance(differences, list)
            named = f"Nearest: {best['id']} ({best['request']})"
            said = "; ".join(differences[:_SAID])
            sentences.append(f"{named}: {said}." if said else f"{named}.")
            found = next((one for one in near if one["option"]), None)
            if found is not None:
                sentences.append(f"{found['id']} is found with {found['option']}.")
            if len(near) > 1:
                others = ", ".join(f"{other['id']} ({other['request']})" for other in near[1:])
                sentences.append(f"Then: {others}.")
        else:
            sentences.append("The cassette is empty." if not library.index.entries else "")
        sentences.append(f"To record it: {self._command(request)}")
        return " ".join(filter(None, sentences)), near

    def _asked(self, request: Request, where: Destination) -> Side:
        """The request as it may be shown: without its secrets."""
        redactor = self._library.redactor
        echoes = echoes_of(credentials(where.target, request.headers))
        whole = request.body.in_memory
        body: bytes | Blob = Blob("", request.body.size)
        if whole is not None and len(whole) <= _COMPARED_BYTES:
            body = redactor.body(whole, request.headers, echoes).data
        return Side(
            request.recorded_method,
            where.authority,
            redactor.target(where.target, echoes),
            redactor.request_headers(request.headers, echoes),
            body,
        )

    def _nearest(self, request: Request, where: Destination, asked: Side) -> list[Interaction]:
        """By SimHash, which needs no bodies; the best of those by the words they share."""
        near = []
        for entry in self._candidates(request, where):
            try:
                near.append(self._library.load(entry))
            except CassetteError:
                continue  # the miss is told all the same
        words = shingles(asked.body)
        near.sort(key=lambda recorded: -likeness(words, shingles(recorded.request.body)))
        return near[:NEAREST]

    def _option(self, request: Request, where: Destination, recorded: Interaction) -> str:
        """What would have made this one the answer, "" where nothing would."""
        body, before = request.body.in_memory, recorded.request
        host = recorded.upstream.partition("://")[2].lower()
        if where.authority and where.authority != host:
            return ""
        if body is None or len(body) > _COMPARED_BYTES or not isinstance(before.body, bytes):
            return ""
        option = advice(
            self._leniency,
            Asked(request.recorded_method, where.target, request.headers, body),
            Asked(before.method, before.target, before.headers, before.body),
        )
        echoes = echoes_of(credentials(where.target, request.headers))
        return self._library.redactor.scrub(option.encode("utf-8", "replace"), echoes).decode()

    def _candidates(self, request: Request, where: Destination) -> list[Entry]:
        library = self._library
        whole = request.body.in_memory
        wanted = 0
        if whole is not None and len(whole) <= _COMPARED_BYTES:
            wanted = simhash(canonical_body(request.headers, whole))
        route = route_hash(request.recorded_method, where.target)
        return library.nearest(route, wanted, _COMPARED) or library.nearest(None, wanted, _COMPARED)

    def _command(self, request: Request) -> str:
        return f"fakeai-proxy --mode auto --cassette {self._library.paths[0]}{self._from(request)}"

    def _from(self, request: Request) -> str:
        """The upstream, where the request does not name it."""
        if request.origin is not None:
            return ""
        return f" --upstream {self._upstream or 'https://API-HOST'}"


def _told(asked: Side, recorded: Interaction) -> dict[str, object]:
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
        "differences": [str(difference) for difference in explain(asked, side)[:_TOLD]],
    }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _short(target: str) -> str:
    return target if len(target) <= 120 else target[:117] + "..."
