"""The frames of a streamed chat completion, one token each.

The constant part of a stream's frames is built once; a token costs one concatenation.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import orjson

from fakeai_proxy.exchange import Chunk
from fakeai_proxy.generate.tokens import Passage
from fakeai_proxy.services.answer.task import Answer, ToolCall
from fakeai_proxy.services.answer.voice import Sound
from fakeai_proxy.services.chat import message
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.chat.usage import usage_of
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import DONE, Late, counted, side_by_side

#: Frames are filled up to multiples of this, so that their length does not tell the token's.
_FILLED_BYTES = 16
_NOISE_CHARS = 256


class Stream:
    """`identity` is what stands before the object's name, after it and at the end."""

    def __init__(self, call: Call, plan: Plan, identity: tuple[bytes, bytes, bytes]) -> None:
        before, after, closing = identity
        options = plan.request.stream_options
        self.call = call
        self.plan = plan
        self.in_functions = message.in_functions(plan)
        self.with_usage = bool(options and options.include_usage)
        self.counted = bool(self.with_usage and options and options.continuous_usage_stats)
        hidden = options.include_obfuscation if options else None
        # OpenAI hides the lengths of tokens unless told otherwise; other servers do where asked.
        self.obfuscated = plan.card.is_openai if hidden is None else hidden
        self.start = b'data: %b.chunk%b%b,"choices":[' % (before, after, closing)
        self.end = b"]%b}\n\n" % (b',"usage":null' if self.with_usage else b"")
        noise = call.dice.text_id(call.dice_key, "obfuscation", length=_NOISE_CHARS).encode()
        self._noise = noise
        self._tails: dict[tuple[bytes, int], bytes] = {}
        self._filled = 0

    def chunks(self) -> list[Chunk]:
        choices = self.plan.choices
        heads = [self._role(k, choice) for k, choice in enumerate(choices)]
        bodies = [self._body(k, choice) for k, choice in enumerate(choices)]
        if self.counted:
            prompt = len(self.plan.prompt.ids)
            streams = [
                counted([head, *body], prompt) for head, body in zip(heads, bodies, strict=True)
            ]
            heads, bodies = [each[0] for each in streams], [each[1:] for each in streams]
        chunks = heads + side_by_side(bodies)
        if self.with_usage:
            chunks.append(Chunk(self._usage()))
        chunks.append(Chunk(DONE))
        return chunks

    def _role(self, index: int, choice: Answer) -> Chunk:
        """Leaves with the first token, after those that are only thought."""
        silent = choice.content is None or bool(self.plan.sounds) or choice.thought is not None
        content = b"null" if silent else b'""'
        delta = b'"role":"assistant","content":%b,"refusal":null' % content
        hidden = choice.reasoning_tokens if choice.thought is None else 0
        return Chunk(self._frame(index, delta), hidden)

    def _body(self, index: int, choice: Answer) -> list[Chunk]:
        chunks: list[Chunk] = []
        if choice.thought is not None:
            chunks += self._pieces(index, b"reasoning_content", choice.thought)
        sound = self.plan.sounds[index] if self.plan.sounds else None
        chunks += (
            self._content(index, choice) if sound is None else self._said(index, choice, sound)
        )
        for place, call in enumerate(choice.calls):
            chunks += self._call(index, place, call)
        if choice.citations:
            cited = message.cited(choice.citations)
            chunks.append(Chunk(self._frame(index, b'"annotations":' + cited)))
        chunks.append(Chunk(self._frame(index, b"", finish=choice.finish_reason.encode())))
        return chunks

    def _content(self, index: int, choice: Answer) -> list[Chunk]:
        if choice.logprobs is None:
            return self._pieces(index, message.words_field(choice), choice.said)
        return list(self._with_logprobs(index, choice))

    def _pieces(self, index: int, field: bytes, passage: Passage) -> list[Chunk]:
        before, after = self._around(index, b'"%b":"' % field)
        return self._tokens(before, b'"%b' % after, passage)

    def _tokens(self, before: bytes, tail: bytes, passage: Passage) -> list[Chunk]:
        if not self.obfuscated:
            return [Chunk(before + piece + tail, 1) for piece in passage.escaped]
        filled = self._filled_tail
        return [Chunk(before + piece + filled(tail, piece), 1) for piece in passage.escaped]

    def _with_logprobs(self, index: int, choice: Answer) -> Iterator[Chunk]:
        field = message.words_field(choice)
        assert choice.logprobs is not None
        for piece, entry in zip(choice.said.escaped, choice.logprobs, strict=True):
            delta = b'"%b":"%b"' % (field, piece)
            yield Chunk(self._frame(index, delta, message.logprobs([entry], field)), 1)

    def _said(self, index: int, choice: Answer, sound: Sound) -> Iterator[Chunk]:
        """Each piece of the transcript with its share of the sound."""
        name = message.audio_id(self.call, index)
        before = b'"audio":{"id":"%b",' % name
        pieces = choice.said.escaped
        for piece, (data, tokens) in zip(pieces, sound.shares(len(pieces)), strict=True):
            yield Chunk(self._frame(index, b'%b"transcript":"%b"}' % (before, piece)), 1)
            yield Chunk(self._frame(index, b'%b"data":"%b"}' % (before, b64encode(data))), tokens)
        expires_at = self.call.created + message.AUDIO_KEPT_S
        yield Chunk(self._frame(index, b'%b"expires_at":%d}' % (before, expires_at)))

    def _call(self, index: int, place: int, call: ToolCall) -> list[Chunk]:
        if self.in_functions:
            head = b'"function_call":{"name":%b,"arguments":""}' % orjson.dumps(call.name)
            before, after = self._around(index, b'"function_call":{"arguments":"')
            tail = b'"}%b' % after
        else:
            kind, key = (b"custom", b"input") if call.custom else (b"function", b"arguments")
            head = b'"tool_calls":[{"index":%d,"id":"%b","type":"%b","%b":{"name":%b,"%b":""}}]' % (
                place,
                message.call_id(self.call, index, place),
                kind,
                kind,
                orjson.dumps(call.name),
                key,
            )
            opening = b'"tool_calls":[{"index":%d,"%b":{"%b":"' % (place, kind, key)
            before, after = self._around(index, opening)
            tail = b'"}}]%b' % after
        first = Chunk(self._frame(index, head), call.head_tokens)
        return [first, *self._tokens(before, tail, call.arguments)]

    def _around(self, index: int, opening: bytes) -> tuple[bytes, bytes]:
        """What stands before and after the piece in a frame whose delta starts with `opening`."""
        before = b'%b{"index":%d,"delta":{%b' % (self.start, index, opening)
        return before, b'},"logprobs":null,"finish_reason":null}' + self.end

    def _filled_tail(self, tail: bytes, piece: bytes) -> bytes:
        """The tail with as much noise as hides the length of `piece`."""
        self._filled += 1
        place = (self._filled % 8) * _FILLED_BYTES + len(piece) % _FILLED_BYTES
        known = self._tails.get((tail, place))
        if known is None:
            start = place % (_NOISE_CHARS - _FILLED_BYTES)
            fill = self._noise[start : start + _FILLED_BYTES - len(piece) % _FILLED_BYTES]
            known = b'%b,"obfuscation":"%b"}\n\n' % (tail[: -len(b"}\n\n")], fill)
            self._tails[tail, place] = known
        return known

    def _frame(
        self, index: int, delta: bytes, logprobs: bytes = b"null", finish: bytes = b""
    ) -> bytes:
        end = self._filled_tail(self.end, delta) if self.obfuscated else self.end
        return b'%b{"index":%d,"delta":{%b},"logprobs":%b,"finish_reason":%b}%b' % (
            self.start, index, delta, logprobs, b'"%b"' % finish if finish else b"null", end,
        )  # fmt: skip

    def _usage(self) -> Late:
        usage = usage_of(self.plan)
        start = self.start + b'],"usage":'
        if isinstance(usage, bytes):
            return start + usage + b"}\n\n"
        return lambda admission: start + usage(admission) + b"}\n\n"
