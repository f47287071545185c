"""The value of an expression in numbers and signs, for prompts that ask for a sum."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

_DIGITS_MAX = 15
#: Of a power, which is exact however long it is.
_POWER_DIGITS_MAX = 400

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


def result_of(expression: str) -> str | None:
    """Written as people do, rounded to six digits after the point; None for what is no sum."""
    found = evaluated(expression)
    if found is None:
        return None
    value = found[1]
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 10**_DIGITS_MAX:
            return str(int(value))
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


def evaluated(expression: str) -> tuple[str, float] | None:
    """As Python has it, and what that comes to there; None for what is no sum."""
    plain = expression.replace("×", "*").replace("x", "*").replace("÷", "/").replace("^", "**")
    plain = plain.replace(",", "").strip(" =?.!")
    try:
        tree = ast.parse(plain, mode="eval").body
        return (plain, _value(tree)) if isinstance(tree, ast.BinOp) else None
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        if abs(node.value) >= 10**_DIGITS_MAX:
            raise ValueError("too large")
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            if abs(right) * math.log10(max(abs(left), 10)) > _POWER_DIGITS_MAX:
                raise ValueError("too large")
            power = left**right
            if isinstance(power, complex):
                raise ValueError("no real number")
            return float(power) if isinstance(power, float) else power
        if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
    raise ValueError("no number")
