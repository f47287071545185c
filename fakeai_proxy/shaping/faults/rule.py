"""When a fault happens: conditions on a request, on its number and on the time.

Chance is keyed by the request, the number of its attempt and the phase, so the same requests fail in
every run, in whatever order they come, and a retry has its own fate.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import translate
from ipaddress import ip_address, ip_network
from typing import Any, Literal
from urllib.parse import unquote

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Request
from fakeai_proxy.providers import credential
from fakeai_proxy.shaping.faults.kinds import AnyFault, Params

#: Requests whose attempts are remembered; the one that has not come for longest is forgotten first.
REMEMBERED = 65_536
#: Bodies above this are not looked into: they are told apart by their length.
BODY_BYTES_MAX = 1 << 20
#: Larger bodies' models are searched for, rather than parsed out.
_PARSED_BYTES = 64 << 10
_MODEL = re.compile(
    rb'"model"\s{0,4}:\s{0,4}"([^"\\]{1,256})"|name="model"\r\n\r\n([^\r\n]{1,256})\r\n'
)
#: Of a body that begins with its model, which need not be parsed.
_FIRST = re.compile(rb'\{\s{0,4}"model"\s{0,4}:\s{0,4}"([^"\\]{1,256})"')
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")
_DICE_SIDES = float(1 << 128)


class Conditions(BaseModel):
    """Patterns are as in file names: * and ? stand for any characters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str | None = Field(None, description="Pattern of the path.")
    method: str | None = Field(None, description="Pattern of the method.")
    model: str | None = Field(None, description="Pattern of the model that is asked.")
    host: str | None = Field(None, description="Pattern of the host that a proxy's client asks.")
    header: str | None = Field(None, description="A header that is there: NAME, or NAME=PATTERN.")
    key: str | None = Field(None, description="Pattern of the API key.")
    client: str | None = Field(None, description="Address or network of the client.")
    mode: str | None = Field(None, description="Pattern of the mode that the program runs in.")
    p: float = Field(1, ge=0, le=1, description="Probability.")
    every: int | None = Field(
        None, ge=1, description="One of so many requests that match, by count."
    )
    run: int = Field(1, ge=1, description="With every: so many in a row.")
    first: int | None = Field(None, ge=1, description="The first attempts only.")
    per: Literal["request", "key", "client", "rule"] = Field(
        "request", description="What attempts are counted by."
    )
    from_s: float | None = Field(None, ge=0, description="Not before so many seconds of the run.")
    until_s: float | None = Field(None, ge=0, description="Not after so many seconds of the run.")
    phase: str | None = Field(None, description="During this phase of a scenario.")
    also: bool = Field(
        False, description="Later rules are asked too; else the first that matches wins."
    )

    @field_validator("client")
    @classmethod
    def _network(cls, value: str | None) -> str | None:
        if value is not None:
            ip_network(value, strict=False)
        return value


@dataclass(slots=True)
class Moment:
    """When a request is looked at: the seconds and the phase of the run."""

    elapsed_s: float
    phase: str


class Look:
    """What conditions see of a request, each worked out when it is first asked for."""

    __slots__ = ("_attempt", "_attempts", "_fingerprint", "_model", "counted", "moment", "request")

    def __init__(self, request: Request, attempts: Counts, moment: Moment) -> None:
        self.request = request
        self.moment = moment
        #: What others have counted for it, where several processes count together.
        self.counted: dict[bytes, int] | None = None
        self._attempts = attempts
        self._fingerprint: bytes | None = None
        self._attempt: int | None = None
        self._model: str | None = None

    @property
    def fingerprint(self) -> bytes:
        if self._fingerprint is None:
            request, body = self.request, self.request.body
            whole = body.in_memory
            if whole is None or len(whole) > BODY_BYTES_MAX:
                whole = b"%d" % (body.length or body.size)
            self._fingerprint = request.fingerprint(whole)
        return self._fingerprint

    @property
    def attempt(self) -> int:
        """Which time this request comes, in this phase, from 0."""
        if self._attempt is None:
            self._attempt = self.count(self.fingerprint, self._attempts)
        return self._attempt

    def count(self, thing: bytes | str, counts: Counts) -> int:
        """How often it came before. Raises Uncounted where others have to be asked first."""
        if self.counted is None:
            return counts.next(thing)
        key = counts.key(thing)
        if key not in self.counted:
            raise Uncounted(key)
        return self.counted[key]

    @property
    def model(self) -> str:
        if self._model is None:
            self._model = model_of(self.request)
        return self._model

    @property
    def key(self) -> str:
        return credential(self.request)

    @property
    def host(self) -> str:
        origin = self.request.origin
        return "" if origin is None else origin.host


def model_of(request: Request) -> str:
    """As far as the path or the body that is here tell, "" otherwise."""
    named = _DEPLOYMENT.search(request.path)
    return unquote(named[1]) if named else _model(request.body.in_memory or b"")


def _model(body: bytes) -> str:
    first = _FIRST.match(body)
    if first is not None:
        return first[1].decode("utf-8", "replace")
    if len(body) <= _PARSED_BYTES and body[:1] == b"{":
        try:
            value = orjson.loads(body).get("model")
        except orjson.JSONDecodeError:
            value = None
        return value if isinstance(value, str) else ""
    found = _MODEL.search(body, 0, BODY_BYTES_MAX)
    return "" if found is None else (found[1] or found[2]).decode("utf-8", "replace")


class Uncounted(Exception):  # noqa: N818 - no error, but a question
    """`key` is what other processes have to be asked for."""

    def __init__(self, key: bytes) -> None:
        self.key = key


class Counts:
    """How often each of many things has come; `name` is what these counts are called elsewhere."""

    def __init__(self, name: str, most: int = REMEMBERED) -> None:
        self.name = name
        self._counts: OrderedDict[bytes | str, int] = OrderedDict()
        self._most = most

    def next(self, thing: bytes | str) -> int:
        """How often it came before; counts this time too."""
        count = self._counts.pop(thing, 0)
        self._counts[thing] = count + 1
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count

    def key(self, thing: bytes | str) -> bytes:
        """The thing's among all that are counted."""
        data = thing if isinstance(thing, bytes) else thing.encode("utf-8", "surrogatepass")
        return b"%b/%b" % (self.name.encode("utf-8", "surrogatepass"), data)


def glance(attempts: Counts) -> Callable[[Request, float, str], Look]:
    """What makes a look at a request, at a second and in a phase of the run."""
    return lambda request, elapsed_s, phase: Look(request, attempts, Moment(elapsed_s, phase))


Test = Callable[[Look], bool]


@dataclass(eq=False)
class Rule:
    """A fault with its parameters, and the conditions under which it happens."""

    fault: AnyFault
    params: Params
    conditions: Conditions
    #: As it could be given to --fault.
    text: str
    #: The fault and its parameters, without the conditions.
    name: str
    id: str = ""
    #: Its probability moves while it is in force.
    ramped: bool = False
    #: How many requests it was applied to.
    applied: int = 0
    tests: tuple[Test, ...] = field(default=(), repr=False)
    #: Whether a test looks into the request's body.
    reads_body: bool = False
    #: Whether its tests are made.
    settled: bool = False
    #: Its probability.
    p: float = field(init=False)

    def __post_init__(self) -> None:
        self.p = self.conditions.p

    def matches(self, look: Look) -> bool:
        # Not all(): a generator costs more than most tests.
        for test in self.tests:  # noqa: SIM110 - see above
            if not test(look):
                return False
        return True

    def compile(self, dice: Dice, mode: str, salt: str) -> None:
        """Make the tests, the cheap ones first and those that count last; `salt` tells equal rules
        apart."""
        self.settled = True
        conditions = self.conditions
        tests: list[Test] = [
            make(wanted) for name, make in _TESTS.items()
            if (wanted := getattr(conditions, name)) is not None
        ]  # fmt: skip
        if conditions.mode is not None and not _glob(conditions.mode)(mode):
            tests.insert(0, lambda look: False)
        if conditions.every is not None:
            tests.append(_every(conditions.every, conditions.run, self.id))
        if conditions.first is not None:
            tests.append(_first(conditions.first, conditions.per, self.id))
        by_chance = conditions.p < 1 or self.ramped
        if by_chance:
            tests.append(_chance(self, dice, f"{self.text}#{salt}"))
        self.tests = tuple(tests)
        by_request = conditions.first is not None and conditions.per == "request"
        self.reads_body = conditions.model is not None or by_chance or by_request

    def draw_key(self, look: Look) -> tuple[str | bytes | int, ...]:
        """Keys the dice for what the fault itself leaves to chance."""
        return ("fault", self.name, look.moment.phase, look.fingerprint, look.attempt)


def _glob(pattern: str) -> Callable[[str], bool]:
    matched = re.compile(translate(pattern), re.IGNORECASE).match
    return lambda value: matched(value) is not None


def _path(pattern: str) -> Test:
    match = _glob(pattern)
    return lambda look: match(look.request.path)


def _method(pattern: str) -> Test:
    match = _glob(pattern)
    return lambda look: match(look.request.method)


def _host(pattern: str) -> Test:
    match = _glob(pattern)
    return lambda look: match(look.host)


def _key(pattern: str) -> Test:
    match = _glob(pattern)
    return lambda look: match(look.key)


def _model_is(pattern: str) -> Test:
    match = _glob(pattern)
    return lambda look: match(look.model)


def _header(wanted: str) -> Test:
    name, equals, pattern = wanted.partition("=")
    lower, match = name.strip().lower().encode(), _glob(pattern if equals else "*")

    def test(look: Look) -> bool:
        value = look.request.header(lower)
        return value is not None and match(value.decode("latin-1"))

    return test


def _client(wanted: str) -> Test:
    network = ip_network(wanted, strict=False)
    known: dict[str, bool] = {}

    def test(look: Look) -> bool:
        client = look.request.client
        found = known.get(client)
        if found is None:
            try:
                found = ip_address(client) in network
            except ValueError:
                found = False
            if len(known) < REMEMBERED:
                known[client] = found
        return found

    return test


_TESTS: dict[str, Callable[[Any], Test]] = {
    "from_s": lambda since: lambda look: look.moment.elapsed_s >= since,
    "until_s": lambda until: lambda look: look.moment.elapsed_s < until,
    "phase": lambda phase: lambda look: look.moment.phase == phase,
    "method": _method,
    "path": _path,
    "host": _host,
    "client": _client,
    "header": _header,
    "key": _key,
    "model": _model_is,
}


def _every(every: int, run: int, rule_id: str) -> Test:
    counts = Counts(f"every/{rule_id}")
    return lambda look: look.count("", counts) % every >= every - run


_PER: dict[str, Callable[[Look], bytes | str]] = {
    "request": lambda look: look.fingerprint,
    "key": lambda look: look.key,
    "client": lambda look: look.request.client,
    "rule": lambda look: "",
}


def _first(first: int, per: str, rule_id: str) -> Test:
    counts, counted = Counts(f"first/{rule_id}"), _PER[per]
    return lambda look: look.count(counted(look), counts) < first


def _chance(rule: Rule, dice: Dice, key: str) -> Test:
    draw = dice.numbers("fault", key)

    def test(look: Look) -> bool:
        drawn = draw(b"%b%d %b" % (look.fingerprint, look.attempt, look.moment.phase.encode()))
        return drawn < rule.p * _DICE_SIDES

    return test
