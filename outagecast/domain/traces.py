"""How a person's address, number or name is found in texts, however it was written there, and what takes its place."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

ERASED = "[erased]"
_LEAST_DIGITS = 8
"""A number is also found without its country's code while so many digits are left: fewer could be anything."""
_COUNTRY_DIGITS = 3
_BETWEEN = r"[\s().\-/]{0,3}"
_LOCAL_PART = r"\w.!#$%&'*+/=?^`{|}~-"


@dataclass(frozen=True, slots=True)
class Trace:
    """`hint` is in lower case and part of every text in which `pattern` can be found: what a database is asked for."""

    pattern: "re.Pattern[str]"
    hint: str
    instead: str


def trace_of_email(address: str, instead: str) -> Trace:
    """An address in lower case; not where it is only the end or the beginning of a longer one."""
    pattern = rf"(?<![{_LOCAL_PART}]){re.escape(address)}(?![\w-]|\.\w)"
    return Trace(re.compile(pattern, re.IGNORECASE), address, instead)


def trace_of_phone(number: str, instead: str) -> Trace:
    """A number in E.164, with or without its country's code, with what people put between the digits."""
    digits = number.removeprefix("+")
    ways = [r"(?:\+|00)?" + _BETWEEN.join(digits)]
    for left_out in range(1, _COUNTRY_DIGITS + 1):
        if len(digits) - left_out >= _LEAST_DIGITS:
            ways.append(rf"\(?(?:0{_BETWEEN})?" + _BETWEEN.join(digits[left_out:]))
    # Grouped in pairs at the least: the last two digits stand together.
    return Trace(re.compile(rf"(?<![\d+])(?:{'|'.join(ways)})(?!\d)"), digits[-2:], instead)


def trace_of_name(name: str) -> Trace | None:
    """A name of two words or more; None for a single word, which could be anybody's or no name at all."""
    words = name.split()
    if len(words) < 2:
        return None
    ways = {r"\s+".join(map(re.escape, words)), re.escape(json.dumps(" ".join(words))[1:-1])}
    plain = sorted(re.findall(r"[a-z0-9]+", name.lower()), key=len)
    hint = plain[-1] if plain else ""
    return Trace(re.compile(rf"(?<!\w)(?:{'|'.join(sorted(ways))})(?!\w)", re.IGNORECASE), hint, ERASED)


def without(value: Any, traces: Sequence[Trace]) -> Any:
    """A text, or a JSON value with texts and keys in it, without any of these traces."""
    match value:
        case str():
            for trace in traces:
                value = trace.pattern.sub(trace.instead, value)
            return value
        case list():
            return [without(item, traces) for item in value]
        case dict():
            return {without(key, traces): without(item, traces) for key, item in value.items()}
        case _:
            return value


def found_in(texts: Iterable[Any], traces: Sequence[Trace]) -> bool:
    """Whether any of some texts or JSON values holds one of these traces."""
    return any(without(text, traces) != text for text in texts)
