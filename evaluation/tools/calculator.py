"""Exact arithmetic on a text: sums, products, quotients and powers of whole and decimal numbers."""

import ast
import re
from collections.abc import Callable
from fractions import Fraction

from evaluation.tools.errors import ToolError

MAX_CHARACTERS = 200
MAX_BITS = 4096  # of a numerator or a denominator
MAX_DECIMALS = 12  # of a quotient that does not end

_ALLOWED = re.compile(r"[0-9+\-*/%().\s]+")
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "\N{MINUS SIGN}": "-", "^": "**"})
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_GROUPS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: lambda left, right: left % right,
}


def calculate(expression: str) -> str:
    """Return the value of `expression`: a whole number or a decimal number, exact if it ends, else rounded.

    The operators are Python's `+ - * / // % **`; `×`, `÷` and `^` are other forms of three of them. Numbers may have
    commas between groups of three digits.

    Raises:
        ToolError: The text is too long, is not an expression, divides by zero, or its value is too large.
    """
    text = _LEADING_ZEROS.sub("", _GROUPS.sub("", expression.translate(_SIGNS))).strip()
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"the expression has more than {MAX_CHARACTERS} characters")
    if not _ALLOWED.fullmatch(text):
        raise ToolError("the expression may have numbers, + - * / // % ** and parentheses only")
    try:
        return _written(_value(ast.parse(text, mode="eval").body, text))
    except SyntaxError as error:
        raise ToolError("the expression cannot be read") from error
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant():
            # The source, since a float would round it: 0.1 is one tenth here.
            return Fraction(str(ast.get_source_segment(text, node)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bounded(_power(_value(left, text), _value(right, text)))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _bounded(_OPERATORS[type(operator)](_value(left, text), _value(right, text)))
        case _:
            raise ToolError("the expression is not arithmetic")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise ToolError("an exponent must be a whole number")
    if abs(exponent) * max(base.numerator.bit_length(), base.denominator.bit_length()) > MAX_BITS:
        raise ToolError("the result is too large")
    return Fraction(base ** int(exponent))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ToolError("the result is too large")
    return value


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    decimals = _decimals(value.denominator)
    scaled = round(value * 10**decimals)
    whole, part = divmod(abs(scaled), 10**decimals)
    digits = f"{part:0{decimals}d}".rstrip("0")
    return ("-" if scaled < 0 else "") + str(whole) + (f".{digits}" if digits else "")


def _decimals(denominator: int) -> int:
    """Decimals of a number with this denominator; `MAX_DECIMALS` if it does not end."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else MAX_DECIMALS
