"""The formula of a multi grader: arithmetic over the scores of its graders, and nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg,
}  # fmt: skip
#: The vendor's guide: min, max, abs, floor, ceil, exp, sqrt, log.
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil, "exp": math.exp,
    "sqrt": math.sqrt, "log": math.log,
}  # fmt: skip
_NODES_MAX = 200


class FormulaError(Exception):
    """It cannot be read, or has no value."""


class Formula:
    """Raises FormulaError."""

    def __init__(self, text: str) -> None:
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise FormulaError(f"cannot read {text[:100]!r}") from None
        nodes = list(ast.walk(self._tree))
        if len(nodes) > _NODES_MAX:
            raise FormulaError(f"more than {_NODES_MAX} parts")
        functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        self.names = {
            node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in functions
        }
        for node in nodes:
            _check(node)

    def value(self, scores: Mapping[str, float]) -> float:
        """Raises FormulaError."""
        try:
            found = float(_value(self._tree, scores))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise FormulaError(str(error)) from None
        if not math.isfinite(found):
            raise FormulaError("the result is no number")
        return found


def _check(node: ast.AST) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        if named and not node.keywords and node.args:
            return
        raise FormulaError("only min, max, abs, floor, ceil, exp, sqrt and log can be called")
    if isinstance(node, (ast.Name, ast.operator, ast.unaryop, ast.expr_context)):
        return
    raise FormulaError(f"{type(node).__name__} is not arithmetic")


def _value(node: ast.expr, scores: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # checked above
    if isinstance(node, ast.Name):
        if node.id not in scores:
            raise FormulaError(f"there is no grader {node.id!r}")
        return scores[node.id]
    if isinstance(node, ast.BinOp):
        made = _BINARY[type(node.op)](_value(node.left, scores), _value(node.right, scores))
        if isinstance(made, complex):
            raise FormulaError("the result is no real number")
        return made
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_value(node.operand, scores))
    assert isinstance(node, ast.Call), "nothing else passes the check"
    assert isinstance(node.func, ast.Name), "nothing else passes the check"
    return float(_FUNCTIONS[node.func.id](*[_value(one, scores) for one in node.args]))
