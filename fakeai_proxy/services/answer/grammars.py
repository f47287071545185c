"""What a custom tool is called with where its input has a grammar."""

from __future__ import annotations

from random import Random

from fakeai_proxy import errors
from fakeai_proxy.generate import grammar
from fakeai_proxy.generate.pattern import Pattern
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.services.answer.tool import Tool

GRAMMARS_EXTRA = (
    "Grammars are followed with llguidance, which is not installed here: "
    "pip install 'fakeai-proxy[grammars]'"
)


def check_grammar(definition: str, syntax: str, param: str) -> None:
    """Raises 400 where it is no grammar, 501 where the extra is missing that would tell."""
    try:
        if syntax == "lark":
            grammar.check(definition)
        else:
            Pattern.load(f"^(?:{definition})$")
    except SchemaError as error:
        raise errors.invalid_grammar(param, syntax, error.reason) from None
    except grammar.NoGrammars:
        raise errors.extra_missing(GRAMMARS_EXTRA) from None


def by_grammar(rng: Random, tool: Tool) -> str:
    """Raises ApiError."""
    try:
        if tool.syntax == "lark":
            return grammar.sample(tool.grammar, rng)
        return Pattern.load(f"^(?:{tool.grammar})$").sample(rng)
    except SchemaError as error:
        raise errors.invalid_grammar("tools", tool.syntax, error.reason) from None
    except grammar.NoGrammars:
        raise errors.extra_missing(GRAMMARS_EXTRA) from None
