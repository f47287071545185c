"""What a run does between two words with its client: the tools that it uses itself, then calls for the
client, or a message. Pure, but for the dice; `events.py` tells it, `keeping.py` keeps it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Workload
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.planner import Planner
from fakeai_proxy.services.answer.reasoning import effort_for
from fakeai_proxy.services.answer.task import Answer, Form, Task, ToolCall
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.extras import guided_text
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.responder import Canned
from fakeai_proxy.services.threads.conversation import Conversation, Document, Heard
from fakeai_proxy.services.threads.tool_choice import Uses, choose
from fakeai_proxy.services.threads.works import Drawn, Found, Worked, interpreted, searched
from fakeai_proxy.store import Blob


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the model. Either `worked`, `calls` or `answer` is what came of it."""

    prompt_tokens: int
    completion_tokens: int
    worked: Worked | None = None
    calls: Sequence[ToolCall] = ()
    answer: Answer | None = None
    annotations: Sequence[Mapping[str, Any]] = ()
    #: Ids of the files that the message shows before it says anything.
    shown: Sequence[str] = ()


@dataclass(slots=True)
class Turn:
    """`status` is what the run has come to: completed, requires_action, incomplete or failed; the last
    two with their `details`. Of a call of the model that came to nothing the tokens are `lost`."""

    model: str
    card: ModelCard | None = None
    steps: list[Step] = field(default_factory=list)
    status: str = "completed"
    details: dict[str, Any] = field(default_factory=dict)
    prompt: Sequence[int] = ()
    output: Sequence[int] = ()
    lora: str = ""
    lost: Step | None = None
    #: The bytes of what was drawn, by the id of the file.
    blobs: dict[str, Blob] = field(default_factory=dict)

    @property
    def drawn(self) -> list[Drawn]:
        works = [step.worked for step in self.steps if step.worked is not None]
        return [drawn for worked in works for drawn in worked.files]

    @property
    def spent(self) -> Sequence[Step]:
        """All calls of the model."""
        return self.steps if self.lost is None else [*self.steps, self.lost]

    @property
    def prompt_tokens(self) -> int:
        return sum([step.prompt_tokens for step in self.spent])

    @property
    def completion_tokens(self) -> int:
        return sum([step.completion_tokens for step in self.spent])

    @property
    def lost_tokens(self) -> int:
        return 0 if self.lost is None else self.lost.completion_tokens

    def works(self, kind: str) -> int:
        """How often the tool of that kind was used."""
        calls = [step.worked.call for step in self.steps if step.worked is not None]
        return len([call for call in calls if call["type"] == kind])

    @property
    def workload(self) -> Workload | None:
        """None where nothing was generated."""
        if not self.completion_tokens:
            return None
        return Workload(
            self.model, self.prompt, self.completion_tokens, output=self.output, lora=self.lora,
            finishes=["length" if self.status == "incomplete" else "stop"],
        )  # fmt: skip


def failed(model: str, error: ApiError) -> Turn:
    """A turn that comes to nothing, because of what the run is given."""
    code = "invalid_prompt" if error.status < 500 else "server_error"
    if error.status == 429:
        code = "rate_limit_exceeded"
    return Turn(model, status="failed", details=_last_error(code, error.message))


def _last_error(code: str, message: str) -> dict[str, Any]:
    return {"last_error": {"code": code, "message": message}}


def uses_of(heard: Heard) -> Uses:
    """Which tools the turn begins with."""
    return choose(heard.run, heard.calls, heard.hints)


class Maker:
    """Makes one turn."""

    def __init__(
        self, dice: Dice, card: ModelCard, heard: Heard, uses: Uses, found: Found | None,
        canned: Canned | None,
    ) -> None:  # fmt: skip
        """`found` is what the search for files has found, if it was wanted."""
        self._dice = dice
        self._card = card
        self._heard = heard
        self._run = heard.run
        self._uses = Uses() if canned else uses
        self._found = found
        self._canned = canned
        self._tokens = Tokens.load(card.vocabulary)
        self._made = Turn(card.id, card, lora=card.id if card.parent else "")

    def turn(self) -> Turn:
        try:
            self._make()
        except ApiError as error:
            return failed(self._card.id, error)
        return self._made

    def _make(self) -> None:
        """Raises ApiError."""
        read = Conversation(self._card, self._tokens, self._heard, self._readable())
        self._made.prompt = read.ids
        for kind in self._uses.works:
            if not self._may_go_on(read):
                return
            self._work(kind, read)
        if self._may_go_on(read):
            self._answer(read)

    # --- limits ------------------------------------------------------------------------------------

    def _left(self, what: str) -> int | None:
        """Of what the run may use of such tokens; None without a limit."""
        most: int | None = self._run[f"max_{what}_tokens"]
        if most is None:
            return None
        used: int = self._run["_usage"][f"{what}_tokens"] + getattr(self._made, f"{what}_tokens")
        return most - used

    def _readable(self) -> int:
        left = self._left("prompt")
        most = self._card.context_tokens - 1
        return most if left is None else min(most, left)

    def _may_go_on(self, read: Conversation) -> bool:
        size = len(read.ids)
        if size >= self._card.context_tokens:
            self._made.status = "failed"
            self._made.details = _last_error(
                "invalid_prompt",
                f"This model's maximum context length is {self._card.context_tokens} tokens. However, "
                f"the messages of the run have {size} tokens.",
            )
            return False
        left = self._left("prompt")
        if left is not None and size > left:
            self._incomplete("max_prompt_tokens")
            return False
        left = self._left("completion")
        if left is not None and left <= 0:
            self._incomplete("max_completion_tokens")
            return False
        return True

    def _incomplete(self, reason: str) -> None:
        self._made.status = "incomplete"
        self._made.details = {"incomplete_details": {"reason": reason}}

    def _limit(self, read: Conversation) -> int:
        room = min(self._card.output_tokens_max, self._card.context_tokens - len(read.ids))
        left = self._left("completion")
        return room if left is None else min(room, left)

    # --- steps -------------------------------------------------------------------------------------

    def _work(self, kind: str, read: Conversation) -> None:
        hints = self._heard.hints
        if kind == "code_interpreter":
            worked = interpreted(self._tokens, hints, self._file_id())
        else:
            worked = searched(self._tokens, self._run, self._found or Found())
        size = len(read.ids)
        if worked.given.tokens > self._limit(read):
            self._made.lost = Step(size, self._limit(read))
            self._incomplete("max_completion_tokens")
            return
        self._made.steps.append(Step(size, worked.given.tokens, worked=worked))
        read.add(worked.call)

    def _file_id(self) -> str:
        turn, place = self._run["_turn"], len(self._made.steps)
        return FILES.prefix + self._dice.text_id(self._run["id"], "file", turn, place)

    def _answer(self, read: Conversation) -> None:
        if self._made.status != "completed":
            return
        ids, limit = read.ids, self._limit(read)
        self._made.prompt = ids
        task = self._task(read, limit)
        answer = Planner(self._dice, _key(self._run, ids), self._tokens, task).answer()
        cut = answer.finish_reason == "length"
        if answer.calls and not cut:
            self._made.steps.append(Step(len(ids), answer.tokens, calls=answer.calls))
            self._made.status = "requires_action"
            return
        if cut:
            self._incomplete("max_completion_tokens")
        if answer.content is None and answer.refusal is None:
            self._made.lost = Step(len(ids), answer.tokens)  # calls that were cut short
            return
        step = Step(
            len(ids), answer.tokens, answer=answer, annotations=self._annotations(answer),
            shown=[drawn.file_id for drawn in self._made.drawn],
        )  # fmt: skip
        self._made.steps.append(step)
        if not answer.reasoning_tokens and len(self._made.steps) == 1:
            self._made.output = answer.ids(self._tokens)

    def _annotations(self, answer: Answer) -> Sequence[Mapping[str, Any]]:
        return () if self._found is None else self._found.cited(answer.said.text)

    def _task(self, read: Conversation, limit: int) -> Task:
        run, hints = self._run, self._heard.hints
        works = [step.worked for step in self._made.steps if step.worked is not None]
        reports = [self._heard.report, *[worked.report for worked in works], *read.told]
        temperature = run["temperature"]
        return Task(
            hints,
            limit,
            self._uses.calls,
            form=_form(run),
            guide=self._guide(),
            report=" ".join(filter(None, reports)),
            effort=effort_for(self._card, run["reasoning_effort"]),
            temperature=1.0 if temperature is None else temperature,
            canned=self._canned,
        )

    def _guide(self) -> Callable[[Random], str] | None:
        """What an answer is that is neither prose nor by a schema: what the files say, or JSON."""
        form = self._run["response_format"]
        if isinstance(form, dict) and form["type"] == "json_object":
            return partial(_object, self._heard.hints)
        if self._found is None or (isinstance(form, dict) and form["type"] == "json_schema"):
            return None
        told = self._found.told
        return lambda rng: told


def _form(run: Document) -> Form | None:
    form = run["response_format"]
    if not isinstance(form, dict) or form["type"] != "json_schema":
        return None
    declared = form["json_schema"]
    schema = declared.get("schema")
    return Form(
        {"type": "object"} if schema is None else schema, bool(declared.get("strict")),
        f"response_format '{declared['name']}'", "response_format",
    )  # fmt: skip


def _object(hints: Hints, rng: Random) -> str:
    return guided_text({"json_object": True}, rng, hints)


def _key(run: Document, ids: Sequence[int]) -> bytes:
    """What an answer depends on."""
    sampling = (run["model"], run["temperature"], run["top_p"])
    hashed = blake2b(repr(sampling).encode("utf-8", "replace"), digest_size=16)
    hashed.update(array("q", ids).tobytes())
    return hashed.digest()
