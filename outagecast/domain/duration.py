"""Durations as people write them in the settings: `"30m"`, `"90s"`, `"1h30m"`, `"2d"`, `"500ms"`."""

import re
from datetime import timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_LONGEST_DAYS = 3650
_SHAPE = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)
_EXAMPLES = '"90s", "30m", "1h30m" or "2d"'


def parse_duration(text: str) -> timedelta:
    """The duration of a text: whole numbers, each with its unit d, h, m, s or ms, larger units first.

    ValueError says what is wrong together with the mend.
    """
    plain = text.strip()
    if plain.isdecimal():
        raise ValueError(f'has no unit (write "{plain}s", "{plain}m" or "{plain}h")')
    found = _SHAPE.fullmatch(plain)
    if not plain or found is None:
        raise ValueError(f"is not a duration (write {_EXAMPLES})")
    try:
        length = sum(
            (int(number) * unit for number, unit in zip(found.groups(), _UNITS.values(), strict=True) if number),
            timedelta(0),
        )
    except OverflowError:
        length = timedelta.max
    if length > timedelta(days=_LONGEST_DAYS):
        raise ValueError(f"is longer than ten years (write {_EXAMPLES})")
    return length


def format_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this length; parts of a millisecond are cut off.

    ValueError for a negative length, which no setting has.
    """
    rest = length // timedelta(milliseconds=1)
    if length < timedelta(0):
        raise ValueError("a duration is never negative")
    text = ""
    for name, unit in _UNITS.items():
        count, rest = divmod(rest, unit // timedelta(milliseconds=1))
        text += f"{count}{name}" if count else ""
    return text or "0s"
