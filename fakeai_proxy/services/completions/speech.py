"""A plan as bytes: one JSON body, or the frames of a stream with one token each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from fakeai_proxy.exchange import Admission, Chunk, Reply, Usage, Workload
from fakeai_proxy.generate.tokens import Passage
from fakeai_proxy.services.completions.plan import Answers, Choice, Entries, Plan
from fakeai_proxy.services.metering import completion
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import (
    DONE,
    JSON_HEADERS,
    Late,
    counted,
    model_fingerprint,
    side_by_side,
    sse_reply,
)

#: No engine has smaller blocks than this, and a prompt's last token is always computed.
_BLOCK_TOKENS_MIN = 8


def speak(call: Call, plan: Plan) -> Reply:
    workload = _workload(plan)
    request_id = call.dice.text_id(call.id_key, "cmpl", length=29)
    model, fingerprint = model_fingerprint(plan.card.id)
    start = (
        b'{"id":"cmpl-%b","object":"text_completion","created":%d,"model":%b,"system_fingerprint":"%b",'
        b'"choices":[' % (request_id.encode(), call.created, model, fingerprint)
    )
    if plan.request.stream:
        return sse_reply(_Stream(plan, start).chunks(), workload, (_billed(plan),))
    return _whole(plan, start, workload)


def _billed(plan: Plan) -> Usage:
    """OpenAI's servers do not cache for these models."""
    amounts: dict[str, int] | None = {} if plan.card.is_openai else None
    return completion(plan.card, plan.prompt_tokens, plan.completion_tokens, amounts=amounts)


def _workload(plan: Plan) -> Workload:
    """Each prompt is a request of its own to the engine."""
    return Workload.of([_part(plan, each) for each in plan.answers])


def _part(plan: Plan, answers: Answers) -> Workload:
    request, card = plan.request, plan.card
    alone = len(answers.ends) == 1
    return Workload(
        card.id,
        answers.prompt.ids,
        answers.tokens,
        priority=request.priority or 0,
        samples=len(answers.ends),
        output=answers.choices[0].passage.ids if alone else (),
        lora=card.id if card.parent else "",
        cache_salt=request.cache_salt or "",
        # A pool that stands in for another model has another context: limits are the model's own.
        output_limit=request.max_tokens or 0 if card.max_model_len else 0,
        finishes=["length" if end == "length" else "stop" for end in answers.ends],
    )


# --- the whole body ----------------------------------------------------------------------------------


def _whole(plan: Plan, start: bytes, workload: Workload) -> Reply:
    choices: list[bytes] = []
    for answers in plan.answers:
        for choice in answers.choices:
            shape = _choice(plan, answers, choice, len(choices))
            choices.append(orjson.dumps(shape))
    start = b'%b%b],"usage":' % (start, b",".join(choices))
    usage = _usage(plan)
    if isinstance(usage, bytes):
        data = b"%b%b}" % (start, usage)
        headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
        chunk = Chunk(data, workload.output_tokens)
        return Reply(200, headers, [chunk], workload=workload, usage=(_billed(plan),))

    def body(admission: Admission) -> bytes:
        return b"%b%b}" % (start, usage(admission))

    chunk = Chunk(body, workload.output_tokens)
    return Reply(200, JSON_HEADERS, [chunk], workload=workload, usage=(_billed(plan),))


def _choice(plan: Plan, answers: Answers, choice: Choice, index: int) -> dict[str, Any]:
    request = plan.request
    text = choice.passage.text
    before = answers.prompt.text if request.echo else ""
    shape: dict[str, Any] = {
        "text": before + text, "index": index, "logprobs": None,
        "finish_reason": choice.finish_reason,
    }  # fmt: skip
    if request.logprobs is not None:
        before_pieces, before_entries = _echoed(plan, answers)
        shape["logprobs"] = _logprobs(
            plan,
            [*before_pieces, *choice.passage.pieces],
            [*before_entries, *choice.logprobs],
            _first_offset(plan, answers),
        )
    if request.prompt_logprobs is not None:
        shape["prompt_logprobs"] = _prompt_logprobs(answers)
    if request.return_token_ids:
        shape["prompt_token_ids"] = list(answers.prompt.ids)
        shape["token_ids"] = choice.passage.ids
    return shape


def _echoed(plan: Plan, answers: Answers) -> tuple[Sequence[str], Entries]:
    """The prompt's own tokens, where it is shown; the first has nothing before it."""
    if not plan.request.echo:
        return (), ()
    shown = answers.prompt.shown
    entries = answers.prompt_entries[shown]
    return answers.spelled.pieces[shown], [None, *entries[1:]] if entries else ()


def _first_offset(plan: Plan, answers: Answers) -> int:
    """OpenAI counts from the beginning of the prompt; servers of one's own from that of the text."""
    if plan.request.echo or not plan.card.is_openai:
        return 0
    return len(answers.prompt.text)


def _logprobs(
    plan: Plan, pieces: Sequence[str], entries: Entries, offset: int
) -> dict[str, Sequence[Any] | None]:
    """One entry a token; `offset` is where the first of them stands, in characters."""
    asked = plan.request.logprobs or 0
    offsets = []
    for piece in pieces:
        offsets.append(offset)
        offset += len(piece)
    return {
        "tokens": pieces,
        "token_logprobs": [None if entry is None else entry["logprob"] for entry in entries],
        "top_logprobs": [_top(entry, asked) for entry in entries] if asked else None,
        "text_offset": offsets,
    }


def _top(entry: dict[str, Any] | None, count: int) -> dict[str, float] | None:
    """The likeliest, and the token itself in any case."""
    if entry is None:
        return None
    listed = {each["token"]: each["logprob"] for each in entry["top_logprobs"][:count]}
    return {**listed, entry["token"]: entry["logprob"]}


def _prompt_logprobs(answers: Answers) -> list[dict[str, Any] | None]:
    """vLLM's shape, by token id."""
    return [
        None if entry is None else {str(token): _ranked(entry)}
        for token, entry in zip(answers.prompt.ids, answers.prompt_entries, strict=True)
    ]


def _ranked(entry: dict[str, Any]) -> dict[str, Any]:
    likelier = [each for each in entry["top_logprobs"] if each["logprob"] > entry["logprob"]]
    return {
        "logprob": entry["logprob"], "rank": 1 + len(likelier), "decoded_token": entry["token"],
    }  # fmt: skip


def _usage(plan: Plan) -> Late:
    """OpenAI's legacy models cache no prompts and have no word for it."""
    prompt, completion = plan.prompt_tokens, plan.completion_tokens
    counts = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d' % (
        prompt, completion, prompt + completion,
    )  # fmt: skip
    if plan.card.is_openai:
        return counts + b"}"

    def usage(admission: Admission) -> bytes:
        cached = min(admission.cached_tokens, prompt)
        return b'%b,"prompt_tokens_details":{"cached_tokens":%d}}' % (counts, cached)

    return usage if prompt > _BLOCK_TOKENS_MIN else usage(Admission())


# --- the stream --------------------------------------------------------------------------------------


class _Stream:
    def __init__(self, plan: Plan, start: bytes) -> None:
        options = plan.request.stream_options
        self.plan = plan
        self.with_usage = bool(options and options.include_usage)
        self.counted = bool(self.with_usage and options and options.continuous_usage_stats)
        self.start = b"data: " + start
        self.end = b"]%b}\n\n" % (b',"usage":null' if self.with_usage else b"")

    def chunks(self) -> list[Chunk]:
        echoes: list[Chunk] = []
        bodies: list[list[Chunk]] = []
        for answers in self.plan.answers:
            for choice in answers.choices:
                echo = list(self._echo(len(bodies), answers))
                body = list(self._body(len(bodies), answers, choice))
                if self.counted:
                    prompt = len(answers.prompt.ids)
                    echo, body = counted(echo, prompt), counted(body, prompt)
                echoes += echo
                bodies.append(body)
        chunks = echoes + side_by_side(bodies)
        if self.with_usage:
            chunks.append(Chunk(self._usage()))
        chunks.append(Chunk(DONE))
        return chunks

    def _echo(self, index: int, answers: Answers) -> Iterator[Chunk]:
        """The prompt, where it is to be seen, before the first token."""
        request = self.plan.request
        if not request.echo and not request.return_token_ids:
            return
        text = answers.prompt.text if request.echo else ""
        more = b""
        if request.return_token_ids:
            more = b',"prompt_token_ids":%b,"token_ids":[]' % orjson.dumps(list(answers.prompt.ids))
        logprobs = b"null"
        if request.echo and request.logprobs is not None:
            pieces, entries = _echoed(self.plan, answers)
            logprobs = orjson.dumps(_logprobs(self.plan, pieces, entries, 0))
        yield Chunk(self._frame(index, orjson.dumps(text)[1:-1], logprobs, more=more))

    def _body(self, index: int, answers: Answers, choice: Choice) -> Iterator[Chunk]:
        request = self.plan.request
        if request.logprobs is None and not request.return_token_ids:
            before = b'%b{"index":%d,"text":"' % (self.start, index)
            after = b'","logprobs":null,"finish_reason":null}' + self.end
            for piece in choice.passage.escaped:
                yield Chunk(before + piece + after, 1)
        else:
            yield from self._adorned(index, answers, choice)
        yield Chunk(self._frame(index, b"", finish=b'"%b"' % choice.finish_reason.encode()))

    def _adorned(self, index: int, answers: Answers, choice: Choice) -> Iterator[Chunk]:
        request = self.plan.request
        passage: Passage = choice.passage
        before, _ = _echoed(self.plan, answers)
        offset = _first_offset(self.plan, answers) + len("".join(before))
        for k, (token, piece, text) in enumerate(
            zip(passage.ids, passage.pieces, passage.escaped, strict=True)
        ):
            logprobs = b"null"
            if request.logprobs is not None:
                entry = choice.logprobs[k]
                logprobs = orjson.dumps(_logprobs(self.plan, [piece], [entry], offset))
            more = b',"token_ids":[%d]' % token if request.return_token_ids else b""
            offset += len(piece)
            yield Chunk(self._frame(index, text, logprobs, more=more), 1)

    def _frame(
        self,
        index: int,
        text: bytes,
        logprobs: bytes = b"null",
        finish: bytes = b"null",
        more: bytes = b"",
    ) -> bytes:
        return b'%b{"index":%d,"text":"%b","logprobs":%b,"finish_reason":%b%b}%b' % (
            self.start, index, text, logprobs, finish, more, self.end,
        )  # fmt: skip

    def _usage(self) -> Late:
        usage = _usage(self.plan)
        start = self.start + b'],"usage":'
        if isinstance(usage, bytes):
            return start + usage + b"}\n\n"
        return lambda admission: start + usage(admission) + b"}\n\n"
