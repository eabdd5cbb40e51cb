"""Clock times and durations as a reader says them: in his zone with the zone named, rounded down to the minute.

A time of another day than the day of writing carries its date, since promises reach into the night.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, get_timezone_name

from outagecast.rendering.words import Words

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(r"[^\W\d_]{2,6}")
# A wave has few distinct times; the bound only keeps a year's uptime from filling the memory.
_CACHE_SIZE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Where a reader is, and which day it was there when the words were frozen."""

    zone: ZoneInfo
    today: date
    sms: bool


def reader(zone: ZoneInfo, said_at: datetime, *, sms: bool) -> Reader:
    return Reader(zone=zone, today=said_at.astimezone(zone).date(), sms=sms)


def minutes_between(start: datetime, end: datetime) -> int:
    """Whole minutes between the minutes shown, so that a reader who subtracts finds the same. Never negative."""
    return max(0, minute_of(end) - minute_of(start))


def minute_of(at: datetime) -> int:
    """Minutes since 1970, rounded down: two times with the same number are shown alike."""
    return (at - _EPOCH) // _MINUTE


class Times:
    """Formats for one language; remembers what it has formatted, for a wave says the same times thousands of times."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._cache: dict[tuple[int, Reader, bool], str] = {}

    def at(self, at: datetime, reader: Reader, *, dated: bool = False) -> str:
        """`14:30 EDT`, or `06:00 EDT on Sat 22 Nov` when that is not the reader's day of writing, or `dated`."""
        key = minute_of(at), reader, dated
        known = self._cache.get(key)
        if known is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            known = self._cache[key] = self._format(_EPOCH + key[0] * _MINUTE, reader, dated)
        return known

    def lasting(self, minutes: int) -> str:
        """`3 h 41 min`; `less than 1 min` for none."""
        if minutes < 1:
            return self._words["duration.none"]
        hours, minute = divmod(minutes, 60)
        day, hour = divmod(hours, 24)
        parts = (("day", day), ("hour", hour), ("minute", minute))
        return " ".join(self._words[f"duration.{unit}"].replace("{n}", str(n)) for unit, n in parts if n)

    def _format(self, at: datetime, reader: Reader, dated: bool) -> str:
        words, local = self._words, at.astimezone(reader.zone)
        clock = _formatted(local, words["time.clock"], words)
        zone = self._zone(local, reader)
        if local.date() == reader.today and not dated:
            return words["time.same_day"].replace("{clock}", clock).replace("{zone}", zone)
        pattern = "date" if local.year == reader.today.year and not dated else "date_with_year"
        pattern = words[f"time.sms_{pattern}" if reader.sms else f"time.{pattern}"]
        day = _formatted(local, pattern, words)
        return words["time.other_day"].replace("{clock}", clock).replace("{zone}", zone).replace("{date}", day)

    def _zone(self, local: datetime, reader: Reader) -> str:
        """A name, never an offset like +0200: CLDR's short one, the zone file's, CLDR's long one; at last UTC-3."""
        locale = self._words.locale
        short = str(get_timezone_name(local, "short", locale=locale))
        for name in (short, local.tzname() or ""):
            if _NAMED.fullmatch(name):
                return name
        long = str(get_timezone_name(local, "long", locale=locale))
        if reader.sms or re.search(r"\d", long):
            return _offset(local.utcoffset())
        return long


def zone_of(name: str, fallback: tzinfo) -> ZoneInfo:
    """The zone of a name; the fallback where the zone files have none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return fallback if isinstance(fallback, ZoneInfo) else ZoneInfo("UTC")


def _formatted(local: datetime, pattern: str, words: Words) -> str:
    """CLDR puts U+202F before AM and PM; one such character makes a text twice as dear, and some fonts lack it."""
    text = format_datetime(local, pattern, tzinfo=local.tzinfo, locale=words.locale)
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def _offset(offset: timedelta | None) -> str:
    minutes = (offset or timedelta(0)) // _MINUTE
    sign, (hour, minute) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    return f"UTC{sign}{hour}" + (f":{minute:02}" if minute else "")
