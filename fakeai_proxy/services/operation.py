"""One operation of the API: how a request finds it, and what its handler is given.

A room is a tuple of operations. Paths are written without their version prefix; `{name}` matches one
segment and `{name:path}` the rest. The dialects (`/v1/...`, Azure's `/openai/...`) are taken off
before matching; a path `at_root` has none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import PROJECT, Reply
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.catalogue import FINE_TUNED, Catalogue
from fakeai_proxy.services.job import Answered, Asked
from fakeai_proxy.services.records import Records
from fakeai_proxy.services.responder import Ask, Canned, Responder
from fakeai_proxy.services.tuned import Tuned, tuned
from fakeai_proxy.services.validation import request_error
from fakeai_proxy.services.webhooks import NOBODY, Webhooks
from fakeai_proxy.store import Key, Store

T = TypeVar("T")


class Unhurried(Exception):  # noqa: N818 - a state of affairs
    """What was asked takes waiting, which the event loop cannot do."""


class Plan(Protocol):
    """What will be said, before it is said."""

    @property
    def tokens(self) -> int:
        """Of prompt and answer: what the plan weighs."""


@dataclass(slots=True)
class Call:
    """What a handler is given. `dice_key` and `id_key` key the dice: equal requests share the
    first, never the second. `created` is the wall time in whole seconds, `wall` tells it later."""

    operation: Operation
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    catalogue: Catalogue
    dice: Dice
    dice_key: bytes
    id_key: bytes
    created: int
    records: Records
    #: What gives the store, and makes it for the first who asks.
    keeper: Callable[[], Store]
    wall: Callable[[], float]
    strict: bool = False
    #: What time it is, and who waits while a thread works.
    clock: Clock = field(default_factory=SystemClock)
    #: The key that it is asked with, and whose that is.
    key_id: str = ""
    user_id: str = ""
    #: Waits until all that was answered is counted.
    settle: Callable[[], Coroutine[Any, Any, None]] | None = None
    #: Told of every row that has become due, once it is committed.
    dispatch: Callable[[Key], None] = lambda key: None
    #: Has a request of our own answered, as a client's would be: limited, paced, told of.
    ask: Callable[[Asked], Awaitable[Answered]] | None = None
    #: The query with its repetitions.
    pairs: Sequence[tuple[str, str]] = ()
    #: Which kind of vectors texts have.
    embedder: Kind = "hashed"
    #: The vendor in whose words it is answered.
    vendor: str = "openai"
    #: The value of a header, whose name is given in lower case; "" when absent.
    header: Callable[[bytes], str] = lambda name: ""
    #: Whose state it reads and changes: the parent of top-level rows in the store.
    project: str = PROJECT
    #: What no other life of this server has had; empty where nothing outlives it.
    life: bytes = b""
    #: The rate class in which it is asked: "" for live ones, "batch" for the lines of a batch.
    tier: str = ""
    #: What tells `origin`.
    reached: Callable[[], str] = lambda: ""
    #: Seconds of a back end's work in one of ours; infinite where answers take no time.
    pace: float = 1.0
    #: What the user has put ready, if anything.
    responder: Responder | None = None
    #: Who is told of ends; `announce` goes into the commit of an end.
    webhooks: Webhooks = NOBODY
    #: Whether code that comes as a grader may run here.
    runs_python: bool = False
    #: The user's own model that is asked, if it is one.
    tuned: Tuned | None = None
    #: What the operation's `plan` made of this call, or of an equal one before.
    plan: Any = None
    #: Where coroutines run; None where there are none to wait for.
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def lasting_key(self) -> bytes:
        """Instead of `id_key`, for ids under which something is kept without asking whether they are
        free."""
        return self.id_key + self.life

    @property
    def store(self) -> Store:
        return self.keeper()

    @property
    def origin(self) -> str:
        """Where the client reaches us: what a URL of ours begins with."""
        return self.reached()

    def wait_for(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine comes to, for a plan or a handler that is none. Raises Unhurried on the
        event loop, whereupon the call is made again in a thread."""
        assert self.loop is not None, "a call that waits comes from the event loop"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(begin(), self.loop).result()
        raise Unhurried

    def canned(self, model: str, prompt: str) -> Canned | None:
        """The answer that the user has put ready for this prompt, or trained the model to give.
        Raises ApiError."""
        said = None if self.responder is None else self._responded(self.responder, model, prompt)
        return self.tuned.answer(prompt) if said is None and self.tuned is not None else said

    def look_up(self, name: object) -> None:
        """`find_own` for what is no coroutine. Raises Unhurried on the event loop."""
        if isinstance(name, str) and name.startswith(FINE_TUNED) and not self.catalogue.holds(name):
            self.wait_for(lambda: self.find_own(name))

    async def find_own(self, name: str) -> None:
        """Where a user's own model is meant, it is in this call's catalogue from then on."""
        self.tuned = await tuned(self.store, self.project, name, self.catalogue)
        if self.tuned is not None:
            self.catalogue = self.catalogue.with_card(self.tuned.card)

    def _responded(self, responder: Responder, model: str, prompt: str) -> Canned | None:
        rng = self.dice.roll(self.dice_key, "responder")
        return responder.answer(Ask(self.operation.name, model, prompt, rng, self._sent))

    def _sent(self) -> dict[str, Any]:
        if not isinstance(self.body, BaseModel):
            return {}
        return self.body.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def queried(self, name: str) -> list[str]:
        """All values of a parameter that may come several times, as `name` or as `name[]`."""
        return [value for key, value in self.pairs if key in (name, f"{name}[]")]


Handler = Callable[[Call], Reply | Awaitable[Reply]]
#: A form, with all of its files.
FORM_BYTES_MAX = 64 << 20

Complain = Callable[[ValidationError, object, type[BaseModel]], ApiError]


@dataclass(frozen=True)
class Operation:
    """`body` is the pydantic shape of a JSON request, None where there is none; `form` that of a
    multipart one, whose files are `Upload`s (an operation may take either). A `threaded` handler
    computes for longer than the event loop can wait; a function tells it by the raw body. One that
    waits for something is a coroutine, on the event loop. `plan` is a
    pure function of the request, the dice and records that never change under their id, without
    `id_key` and `created`; what it made is kept for equal requests, unless it waited for something
    (`Call.wait_for`), as whatever reads the store does. `keyless` ones answer whoever
    asks. `enter` looks at the headers before anybody looks at the body, and `complain` words what is
    wrong with the body's shape. A `socket` is opened by the handshake of a WebSocket; the reply of its
    handler has a dialogue."""

    name: str
    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    form_bytes_max: int = FORM_BYTES_MAX
    threaded: bool | Callable[[bytes], bool] = False
    plan: Callable[[Call], Plan] | None = None
    at_root: bool = False
    keyless: bool = False
    #: For administrators, where keys are told apart.
    admin: bool = False
    enter: Callable[[Call], None] | None = None
    complain: Complain = request_error
    socket: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source = re.sub(r"\\{(\w+):path\\}", r"(?P<\1>.+)", re.escape(self.path))
        source = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", source)
        object.__setattr__(self, "pattern", re.compile(source))

    def is_heavy(self, body: bytes) -> bool:
        return self.threaded if isinstance(self.threaded, bool) else self.threaded(body)
