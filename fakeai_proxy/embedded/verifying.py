"""The control API's row that says whether something was asked: how often, by which calls, and what came
near. Looks at what a `Witness` keeps, in every process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe.pages import CONTROL, Answer, Route
from fakeai_proxy.observe.pages import Call as Asked
from fakeai_proxy.roles import Source
from fakeai_proxy.shared.commons import Commons

if TYPE_CHECKING:
    from fakeai_proxy.embedded.call import Call
    from fakeai_proxy.embedded.witness import Witness

_TOLD_MAX = 20
_FILTERS = ("method", "path", "host", "model", "contains", "body", "json", "status", "source")


class Verification(BaseModel):
    """What a call has to be like to count, and how many there have to be: at least one, unless told
    otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    method: str | None = None
    path: str | None = Field(None, description="`*` stands for anything, here and in the next two.")
    host: str | None = None
    model: str | None = None
    contains: str | None = Field(None, description="Words of the prompt.")
    body: str | None = Field(None, description="A piece of the body, byte for byte.")
    json_: dict[str, JsonValue] | None = Field(
        None, alias="json", description="JSONPath -> the value that it leads to."
    )
    status: int | None = None
    source: str | None = Field(None, description="SYNTH, HIT, LIVE, FAULT or MISS.")
    count: int | None = Field(None, ge=0, description="Exactly so many.")
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)

    @property
    def wanted(self) -> dict[str, Any]:
        values = self.model_dump(by_alias=True)
        return {name: values[name] for name in _FILTERS if values[name] is not None}

    def admits(self, count: int) -> bool:
        if self.count is not None and count != self.count:
            return False
        if self.at_most is not None and count > self.at_most:
            return False
        least = self.at_least
        if least is None:
            least = 0 if self.count is not None or self.at_most is not None else 1
        return count >= least

    @property
    def expected(self) -> str:
        """In words."""
        if self.count is not None:
            return f"exactly {self.count}"
        said = [f"at least {self.at_least}"] if self.at_least is not None else []
        said += [f"at most {self.at_most}"] if self.at_most is not None else []
        return " and ".join(said) or "at least 1"


class Found(NamedTuple):
    """What one process has: how many calls fit of how many, and some of both kinds as JSON."""

    fitting: int
    kept: int
    calls_max: int
    matches: list[dict[str, Any]]
    near: list[dict[str, Any]]


def witness_of(calls_max: int) -> Witness | None:
    """One that keeps so many calls; None for none."""
    if not calls_max:
        return None
    from fakeai_proxy.embedded.witness import Witness

    return Witness(calls_max=calls_max)


def seen_by(witness: Witness | None, source: Source) -> Source:
    return source if witness is None else witness.around(source)


def verify_routes(
    witness: Callable[[], Witness | None], commons: Commons, clock: Clock
) -> tuple[Route, ...]:
    """`witness` is None where nobody keeps what is asked."""

    async def look(wanted: Mapping[str, Any]) -> Found | None:
        seen = witness()
        if seen is None:
            return None
        calls = await seen.settled()
        with clock.hold():
            return await asyncio.to_thread(_found, calls, wanted, seen.calls_max)

    commons.offer("calls", look)

    async def verify(asked: Asked) -> Answer:
        wanted: Verification = asked.body
        if witness() is None:
            raise errors.no_calls_kept()
        _check(wanted)
        parts = [part for part in await commons.gather("calls", wanted.wanted) if part is not None]
        count = sum(part.fitting for part in parts)
        near = sorted((one for part in parts for one in part.near), key=_distance)
        return Answer(
            {
                "ok": wanted.admits(count),
                "expected": wanted.expected,
                "count": count,
                "kept": sum(part.kept for part in parts),
                "calls_max": sum(part.calls_max for part in parts),
                "matches": [one for part in parts for one in part.matches][:_TOLD_MAX],
                "near": near[:_TOLD_MAX],
            }
        )

    summary = "Whether something was asked, and how often (--keep-calls)."
    return (Route("POST", f"{CONTROL}verify", verify, summary, body=Verification, reach="here"),)


def _check(wanted: Verification) -> None:
    """Raises 400."""
    from fakeai_proxy.embedded.calls import jsonpath

    for path in wanted.json_ or ():
        try:
            jsonpath(path)
        except ValueError as error:
            raise errors.bad_parameter("json", "invalid_value", str(error)) from None


def _distance(near: Mapping[str, Any]) -> int:
    return len(near["misfits"])


def _found(calls: list[Call], wanted: Mapping[str, Any], calls_max: int) -> Found:
    """In a thread."""
    from fakeai_proxy.embedded.calls import misfits

    told = [(call, misfits(call, wanted)) for call in calls]
    fitting = [call for call, found in told if not found]
    others = sorted(((call, found) for call, found in told if found), key=lambda one: len(one[1]))
    return Found(
        len(fitting),
        len(calls),
        calls_max,
        [_told(call) for call in fitting[-_TOLD_MAX:]],
        [{**_told(call), "misfits": found} for call, found in others[:_TOLD_MAX]],
    )


def _told(call: Call) -> dict[str, Any]:
    """Without bodies, which may hold anything."""
    return {
        "call": str(call),
        "method": call.method,
        "host": call.host or None,
        "path": call.path,
        "model": call.model or None,
        "status": call.status or None,
        "source": call.source or None,
    }
