"""CloudWatch's metric math: arithmetic, comparisons, IF and FILL; one period at a time. Pure."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from awsim.api import AwsError

OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class _Term:
    """The value of a part of an expression in one period: a number or a metric's value; None: it has none."""

    value: float | None
    number: bool = False


def ids(expression: str) -> frozenset[str]:
    """Return the metrics that an expression names; refuse an expression with any other name in it."""
    tree = _tree(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    _value(tree, dict.fromkeys(names, 1.0), zero=True)
    return frozenset(names)


def compute(expression: str, values: Mapping[str, float | None], *, zero: bool) -> float | None:
    """Return an expression's value in a period, from the metrics' values; None: it has none.

    ``zero``: if only one of two metrics has a value, the other counts as 0.
    """
    return _value(_tree(expression), values, zero=zero).value


def _tree(expression: str) -> ast.expr:
    """Parse an expression as Python; the part of metric math that is modelled is written alike."""
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise _unknown(expression) from error


def _value(node: ast.expr, values: Mapping[str, float | None], *, zero: bool) -> _Term:
    def of(part: ast.expr) -> _Term:
        return _value(part, values, zero=zero)

    match node:
        case ast.Constant(value=int() | float() as number):
            return _Term(float(number), number=True)
        case ast.Name(id=name):
            return _Term(values[name])
        case ast.BinOp(left=left, op=how, right=right) if type(how) in OPERATORS:
            return _pair(OPERATORS[type(how)], of(left), of(right), zero=zero)
        case ast.Compare(left=left, ops=[how], comparators=[right]) if type(how) in OPERATORS:
            return _pair(OPERATORS[type(how)], of(left), of(right), zero=zero)
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, filler], keywords=[]):
            found = of(metric)
            return found if found.value is not None else _Term(of(filler).value)
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise], keywords=[]):
            met, chosen, other = of(condition).value, of(then), of(otherwise)
            return _Term(None if met is None else (chosen if met else other).value)
    raise _unknown(ast.unparse(node))


def _unknown(expression: str) -> AwsError:
    return AwsError("ValidationError", f"The simulator does not compute `{expression}` in metric math.")


def _pair(how: Callable[[float, float], float], left: _Term, right: _Term, *, zero: bool) -> _Term:
    one, other = left.value, right.value
    numbers = left.number and right.number
    # A number makes no data point where the metric beside it has none.
    if zero and one is None and other is not None and not right.number:
        one = 0.0
    if zero and other is None and one is not None and not left.number:
        other = 0.0
    if one is None or other is None:
        return _Term(None)
    try:
        return _Term(float(how(one, other)), number=numbers)
    except ZeroDivisionError:
        return _Term(None)
