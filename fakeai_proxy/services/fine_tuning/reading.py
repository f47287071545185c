"""Reads training files: checks every line, counts the tokens, and keeps what is to be learnt by heart.

Takes as long as the file is long; for a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO, Any

from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.fine_tuning.examples import BadExampleError, lesson, missing_names
from fakeai_proxy.services.tuned import by_heart
from fakeai_proxy.services.wire import parsed_object

#: platform.openai.com/docs/guides/supervised-fine-tuning: the fewest examples.
EXAMPLES_MIN = 10
#: The same guide: longer examples are cut to the training context of gpt-4o models.
EXAMPLE_TOKENS_MAX = 65_536
#: Of answers learnt by heart; what comes later in the file is not.
_LEARNT_BYTES_MAX = 64 << 20


class BadFileError(Exception):
    def __init__(self, code: str, param: str, message: str) -> None:
        super().__init__(message)
        self.code, self.param, self.message = code, param, message


@dataclass
class Lessons:
    examples: int = 0
    tokens: int = 0
    digest: str = ""
    learnt: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """`item_names` are what the grader of a reinforcement asks of every example."""

    method: str
    tokens: Tokens
    context_tokens: int
    item_names: frozenset[str] = frozenset()

    def read(self, file: IO[bytes], param: str) -> Lessons:
        """Raises BadFileError."""
        made, digest, learnt_bytes = Lessons(), blake2b(digest_size=16), 0
        for number, example in _examples(file, param):
            try:
                taught = lesson(self.method, example, self.tokens)
                for name in missing_names(set(self.item_names), example):
                    raise BadExampleError(f"The grader refers to `item.{name}`, which is missing")
            except BadExampleError as error:
                raise _bad(param, f"{error} on line {number}.") from None
            made.examples += 1
            made.tokens += min(taught.tokens, self.context_tokens, EXAMPLE_TOKENS_MAX)
            digest.update(taught.tokens.to_bytes(8, "big"))
            if taught.prompt is not None and learnt_bytes < _LEARNT_BYTES_MAX:
                key, answer = by_heart(taught.prompt, taught.content, taught.calls)
                digest.update(key)
                learnt_bytes += len(answer)
                made.learnt[key] = answer
        if param == "training_file" and made.examples < EXAMPLES_MIN:
            raise BadFileError(
                "invalid_n_examples", param,
                f"Training file has {made.examples} example(s), but must have at least "
                f"{EXAMPLES_MIN} examples.",
            )  # fmt: skip
        if made.examples == 0:
            raise BadFileError("invalid_n_examples", param, "Validation file has 0 examples.")
        made.digest = digest.hexdigest()
        return made


def _bad(param: str, message: str) -> BadFileError:
    which = param.removesuffix("_file")
    return BadFileError(
        f"invalid_{param}", param, f"The job failed due to an invalid {which} file. {message}"
    )


def _examples(file: IO[bytes], param: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        text = line.strip().removeprefix(b"\xef\xbb\xbf")
        if not text:
            continue
        example = parsed_object(text)
        if example is None:
            raise _bad(param, f"Expected every line to be a JSON object. Line {number} is not.")
        yield number, example
