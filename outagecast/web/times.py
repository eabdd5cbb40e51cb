"""Times as people read them: a clock time with its zone first, the distance after it; and as they type them."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_CLOCK = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2})[:.](\d{2})", re.ASCII)
_LENGTH = re.compile(r"(?:(\d{1,3})\s*d)?\s*(?:(\d{1,4})\s*h)?\s*(?:(\d{1,5})\s*(?:m|min)?)?", re.ASCII | re.IGNORECASE)
_MEND = "is not a time: write 14:30, +90 (minutes from now), +2h, or 2026-11-23 06:00"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clock(at: datetime, zone: tzinfo, now: datetime, *, seconds: bool = False) -> str:
    """`14:30 EDT`, with the date when it is not today: `23 Nov 06:00 EST`; `seconds` where they decide something."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    day = "" if local.date() == today else f"{_day(local.date(), today)} "
    return f"{day}{local:%H:%M:%S} {zone_name(local)}" if seconds else f"{day}{local:%H:%M} {zone_name(local)}"


def zone_name(local: datetime) -> str:
    """`EDT`; zones without letters are named by their distance from UTC."""
    name = local.tzname() or "UTC"
    return name if name[:1].isalpha() else f"UTC{local:%z}"[:6]


def distance(at: datetime, now: datetime) -> str:
    """`in 6 min`, `2 h 05 min ago`, rounded down: a promise must never look longer off than it is."""
    length = at - now
    words = duration(abs(length))
    return f"in {words}" if length >= timedelta(0) else f"{words} ago"


def duration(length: timedelta) -> str:
    """`40 s`, `6 min`, `2 h 05 min`, `3 d 4 h`, rounded down."""
    if length < _MINUTE:
        return f"{length // timedelta(seconds=1)} s"
    if length < _HOUR:
        return f"{length // _MINUTE} min"
    if length < 2 * _DAY:
        return f"{length // _HOUR} h {length % _HOUR // _MINUTE:02} min"
    return f"{length // _DAY} d {length % _DAY // _HOUR} h"


def read_moment(text: str, *, zone: tzinfo, now: datetime) -> datetime | None:
    """What somebody typed as a coming moment; None for nothing. ValueError says how to write it.

    `14:30` is the next time that clock shows it; `+90`, `+90m`, `+2h`, `+1h30` count from now;
    `2026-11-23 06:00` names the day.
    """
    plain = text.strip()
    if not plain:
        return None
    if plain.startswith("+"):
        return now + _length(plain[1:])
    return _at_clock(plain, zone, now, _DAY)


def read_past(text: str, *, zone: tzinfo, now: datetime) -> datetime | None:
    """A moment that was; None for nothing. `14:30`: the last time that clock showed it; `-20`: twenty minutes ago."""
    plain = text.strip()
    if not plain:
        return None
    if plain[0] in "-\u2212":
        return now - _length(plain[1:])
    return _at_clock(plain, zone, now, -_DAY)


def _length(text: str) -> timedelta:
    found = _LENGTH.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError(_MEND)
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return days * _DAY + hours * _HOUR + minutes * _MINUTE


def _at_clock(text: str, zone: tzinfo, now: datetime, step: timedelta) -> datetime:
    """The nearest moment a clock text means in the direction of `step`, a day, unless it names the day itself."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(_MEND)
    try:
        shown = time(int(found.group(2)), int(found.group(3)))
        day = date.fromisoformat(found.group(1)) if found.group(1) else None
    except ValueError:
        raise ValueError("is no time of day, or no date: write 14:30 or 2026-11-23 06:00") from None
    if day is not None:
        return datetime.combine(day, shown, zone).astimezone(UTC)
    today = datetime.combine(now.astimezone(zone).date(), shown, zone)
    if (today <= now) == (step > timedelta(0)) and today != now:
        today = datetime.combine(today.date() + step, shown, zone)
    return today.astimezone(UTC)


def _day(day: date, today: date) -> str:
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day.day} {_MONTHS[day.month - 1]}{year}"
