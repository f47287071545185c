"""Texts by a grammar: what a custom tool is called with, and what vLLM guides answers by.

The walk is llguidance's, over single bytes; it comes with the extra `grammars`.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from fakeai_proxy.generate.strict_schema import SchemaError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

GRAMMAR_CHARS_MAX = 40_000
_BYTES_MAX, _USUAL_BYTES = 2_000, 48
_BYTES = 256
#: Bytes that read well are preferred where a grammar leaves the choice.
_LETTERS = b"etaoinshrdlcumwfgypbvk"
_PLAIN = frozenset(_LETTERS + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


class NoGrammars(Exception):  # noqa: N818 - what is missing, rather than what went wrong
    """llguidance is not installed."""


def check(definition: str) -> None:
    """Raises SchemaError where it is no grammar, NoGrammars where nobody can tell."""
    _matcher(definition)


def sample(definition: str, rng: Random) -> str:
    """A text that the grammar accepts. Raises as `check`, and where none was found."""
    matcher = _matcher(definition)
    made = bytearray()
    while len(made) < _BYTES_MAX:
        options = [] if matcher.is_stopped() else _allowed(bytes(matcher.compute_bitmask()))
        ends = matcher.is_accepting()
        if ends and (not options or _is_enough(len(made), rng)):
            return made.decode("utf-8", "replace")
        if not options:
            break
        byte = _pick(options, len(made), rng)
        if not matcher.consume_token(byte):
            break
        made.append(byte)
    raise SchemaError((), "no text was found that the grammar accepts.")


def as_lark(definition: str) -> str:
    """A grammar in Lark's notation or in that of GGML (EBNF with `::=`), in Lark's. Raises as `check`."""
    if "::=" not in definition:
        return definition
    try:
        from llguidance.gbnf_to_lark import GbnfToLarkError, gbnf_to_lark
    except ImportError:
        raise NoGrammars from None
    if len(definition) > GRAMMAR_CHARS_MAX:
        raise SchemaError((), f"the grammar is longer than {GRAMMAR_CHARS_MAX} characters.")
    try:
        return str(gbnf_to_lark(definition))
    except (GbnfToLarkError, ValueError, IndexError, RecursionError) as error:
        raise SchemaError((), str(error).splitlines()[0][:300]) from None


def _matcher(definition: str):  # type: ignore[no-untyped-def]  # its class is there with the extra only
    try:
        import llguidance
    except ImportError:
        raise NoGrammars from None
    if len(definition) > GRAMMAR_CHARS_MAX:
        raise SchemaError((), f"the grammar is longer than {GRAMMAR_CHARS_MAX} characters.")
    matcher = llguidance.LLMatcher(
        _tokenizer(), llguidance.LLMatcher.grammar_from_lark(definition), log_level=0
    )
    if matcher.is_error():
        raise SchemaError((), matcher.get_error().strip().splitlines()[0][:300])
    return matcher


@lru_cache(maxsize=1)
def _tokenizer() -> LLTokenizer:
    """A vocabulary of single bytes."""
    from llguidance import LLTokenizer

    return LLTokenizer("byte")


def _allowed(mask: bytes) -> list[int]:
    return [k for k in range(_BYTES) if mask[k >> 3] >> (k & 7) & 1]


def _is_enough(made: int, rng: Random) -> bool:
    return rng.random() < 0.2 + made / _USUAL_BYTES


def _pick(options: list[int], made: int, rng: Random) -> int:
    if made > _USUAL_BYTES:
        closing = [byte for byte in options if byte in b")]}\"'0123456789"]
        options = closing or options
    plain = [byte for byte in options if byte in _PLAIN]
    printable = [byte for byte in options if 32 <= byte < 127]
    best = plain if plain and len(plain) * 4 > len(printable) else printable or options
    return best[rng.randrange(len(best))]
