"""The calculator: arithmetic on a parsed expression, which is never evaluated as code.

Notable: the expression comes from a model, so from anybody. Its length, its nesting, its exponents and the size of
every number on the way are bounded, so that no expression takes long or much memory.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from model.tools.tool import Tool, ToolError

Number = int | float

MAX_CHARACTERS = 200
MAX_DEPTH = 20
"""Operations inside each other."""
MAX_EXPONENT = 1000
MAX_BITS = 4096
"""Of a whole number on the way, and so of the result."""

_WRITTEN: Mapping[str, str] = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"}
"""Signs that texts have in place of Python's."""
_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression: + - * / // % ** and parentheses over decimal numbers.

    Whole numbers stay exact; others have 12 significant digits.

    Raises:
        ToolError: it is no such expression, has no value, or goes beyond a bound.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ToolError(f"the expression has more than {MAX_CHARACTERS} characters")
    written = expression.strip()
    for sign, operation in _WRITTEN.items():
        written = written.replace(sign, operation)
    try:
        tree = ast.parse(written, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError("this is no arithmetic expression") from error
    try:
        return _text(_value(tree.body, MAX_DEPTH))
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error
    except OverflowError as error:
        raise ToolError("the number is too large") from error


def _value(node: ast.expr, depth: int) -> Number:
    if not depth:
        raise ToolError(f"more than {MAX_DEPTH} operations inside each other")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _bounded(node.value)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, depth - 1))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, depth - 1), _value(node.right, depth - 1)
        if isinstance(node.op, ast.Pow):
            return _bounded(_power(left, right))
        if type(node.op) in _BINARY:
            return _bounded(_BINARY[type(node.op)](left, right))
    raise ToolError("only numbers, + - * / // % ** and parentheses are known")


def _power(base: Number, exponent: Number) -> Number:
    if abs(exponent) > MAX_EXPONENT:
        raise ToolError(f"the exponent is beyond {MAX_EXPONENT}")
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_BITS:
        raise ToolError("the number is too large")
    value = base**exponent
    if isinstance(value, complex):
        raise ToolError("the root of a negative number")
    return value


def _bounded(value: Number) -> Number:
    if not math.isfinite(value) if isinstance(value, float) else value.bit_length() > MAX_BITS:
        raise ToolError("the number is too large")
    return value


def _text(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"


CALCULATOR = Tool("calculator", "", {"expression": "string"}, calculate)
"""The calculator as a tool."""
