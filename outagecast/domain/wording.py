"""Words that break the rules, found before they are sent: no estimate and nothing said about it, a time that has
passed, blame, jargon, a text of more than two segments. Pure; what to say about each stands on the page.

The lists are English, as the desk is; what they do not know they do not flag.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

MOST_SEGMENTS = 2


class WordFlag(StrEnum):
    NO_ESTIMATE = "no_estimate"
    PAST = "past"
    BLAME = "blame"
    JARGON = "jargon"
    LONG_TEXT = "long_text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """One finding: in which field of the form, and the words that are meant."""

    kind: WordFlag
    field: str
    words: tuple[str, ...] = ()


def flags(
    said: Iterable[tuple[str, str]],
    *,
    eta: datetime | None,
    no_estimate: bool,
    now: datetime,
    zone: tzinfo,
    most_segments: int = 0,
) -> list[Flag]:
    """Everything to look at again, in the order of the fields. `said`: (field, text) of what customers will read.

    `no_estimate`: it was chosen to say that there is none yet. `most_segments`: of the longest text that would leave.
    """
    found: list[Flag] = []
    if eta is None and not no_estimate:
        found.append(Flag(kind=WordFlag.NO_ESTIMATE, field="eta"))
    for name, text in said:
        for kind, words in (
            (WordFlag.PAST, past_times(text, now=now, zone=zone)),
            (WordFlag.BLAME, _matches(_BLAME, text)),
            (WordFlag.JARGON, _matches(_JARGON, text)),
        ):
            if words:
                found.append(Flag(kind=kind, field=name, words=words))
    if most_segments > MOST_SEGMENTS:
        found.append(Flag(kind=WordFlag.LONG_TEXT, field="message", words=(str(most_segments),)))
    return found


def past_times(text: str, *, now: datetime, zone: tzinfo) -> tuple[str, ...]:
    """Promises of a clock time that has passed: `by 14:00` at a quarter past two. "Since 14:00" promises nothing.

    A time up to twelve hours back has passed; one further back is tomorrow's.
    """
    here = now.astimezone(zone)
    found = []
    for match in _PROMISE.finditer(text):
        hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["half"] or "").lower()[:1]
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        if hour > 23 or minute > 59 or (match["minute"] is None and not half):
            continue
        ago = here - here.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if timedelta(0) < ago < timedelta(hours=12):
            found.append(" ".join(match.group().split()))
    return tuple(dict.fromkeys(found))


def _matches(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(match.group().split()) for match in pattern.finditer(text)))


def _any_of(*phrases: str) -> str:
    return "|".join(phrase.replace(" ", r"\s+") for phrase in phrases)


_PROMISE = re.compile(
    r"\b(?:by|until|till|before|expected|estimated|back|restored|fixed|ready|eta|etr)(?:\s+(?:at|by|for|about|around))*"
    r"\s*:?\s*(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s*(?P<half>[ap]\.?m\b\.?)?",
    re.IGNORECASE,
)
_BLAME = re.compile(
    r"\b(?:"
    + _any_of(
        "to blame", "blame[sd]?", "at fault", "(?:is|was|are|were) the fault of", 
        "(?:his|her|their|your) (?:own )?fault",
        "(?:someone|somebody|anyone) else'?s fault", "fault of (?:the|our|a|an|your)", "careless(?:ly|ness)?",
        "negligen(?:t|ce|tly)", "incompeten(?:t|ce)", "sloppy", "stupid(?:ity)?", "idiots?", "irresponsible",
        "screwed up", "messed up", "human error", "operator error", "(?:user|customer)s? error",
        "failed to (?:tell|inform|warn|follow|notify)",
        "should (?:not )?have", "not our fault",
    )
    + r")\b",
    re.IGNORECASE,
)  # fmt: skip
_JARGON = re.compile(
    r"\b(?:[A-Z]{2,6}(?:-[A-Z0-9]{1,12}){1,4}|BGP|OSPF|IS-IS|ISIS|MPLS|LSPs?|VLANs?|VRFs?|LACP|BFD|STP|OLTs?|ONTs?|ONUs?|G?PON|XGS-?PON|DWDM|CWDM|EDFA|"
    r"SFPs?|QSFPs?|LOS|LOF|OTDR|CPEs?|CMTS|DSLAMs?|BNGs?|BRAS|MDU|ODF|RADIUS|PPPoE|DHCP|CGNAT|SNMP|MTTR|MTBF|ETR|RFO|RCA|"
    r"NOC|POPs?|NNI|UNI|[Uu]plinks?|[Bb]ackhaul|[Ff]lapp(?:ing|ed)|[Ff]ailover|[Ll]ast[- ]mile|[Hh]ard down|"
    r"[Ll]ight levels?|[Oo]ptics|[Ss]plice enclosure|[Ll]inecards?|[Ll]ine cards?|[Rr]outing table|[Pp]refixes)\b"
)
"""Trade words, and ids as the inventory has them (`POP-HAZ`, `LNK-12-B`): nobody at home knows what these are."""
