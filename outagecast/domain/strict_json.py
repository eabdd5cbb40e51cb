"""JSON from strangers: what Python's reader would let through or choke on is refused with one clear line.

Python accepts NaN, answers deep nesting with RecursionError and an integer of more than 4300 digits with ValueError.
"""

import json
import re
from typing import Any, NoReturn

DEEPEST = 32
_LONGEST_NUMBER = 400
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_json(text: str) -> Any:
    """The value of a JSON text (RFC 8259); ValueError says what is wrong with it, without repeating it.

    Refused: NaN and Infinity, nesting deeper than 32, numbers of more than 400 digits.
    """
    _check_depth(text)
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def _check_depth(text: str) -> None:
    depth = 0
    for found in _NESTING.finditer(text):
        token = found.group()
        if token in "[{":
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"JSON nested deeper than {DEEPEST}")
        elif token in "]}":
            depth -= 1


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError("a number has too many digits")
    return int(digits)
