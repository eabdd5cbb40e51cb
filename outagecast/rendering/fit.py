"""Makes a text fit two segments: first the desk's words are shortened, then what can best be missed is left out."""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from outagecast.domain.facts import OwnFacts, RevisionFacts
from outagecast.domain.sms import Encoding, encode_info, segments, strip_controls, transliterate
from outagecast.rendering.trim import one_line

SEGMENTS = 2
HOLE = "\ue000\ue001\ue000"
"""Stands for the desk's words while the rest is measured: private-use characters, which no name holds."""
_MOST = 306
"""Units of two segments of GSM-7; of UCS-2 there are fewer."""
# Shorter than this the desk's words say nothing: rather leave out the place and the phone.
_WORTH_SAYING = 60
_LAST_RESORT = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How much a text may hold: each squeeze drops what can best be missed. `groups`: fates told one by one."""

    name: int
    label: int
    labels: int
    place: int
    phone: bool = False
    stop: bool = True
    brief: bool = False
    groups: int = 100


ROOMS = (
    Room(name=24, label=30, labels=90, place=24, phone=True),
    Room(name=24, label=30, labels=60, place=0),
    Room(name=0, label=24, labels=24, place=0),
    Room(name=0, label=20, labels=20, place=0, brief=True),
    Room(name=0, label=20, labels=20, place=0, stop=False, brief=True, groups=1),
)


def fit(render: Callable[[Room, str], str], message: str, *, gsm: bool, mark: str) -> str:
    """The body of a text. `render(room, message)` gives the words; `message` is the desk's, cut with `mark` if need be.

    `gsm`: write in GSM-7 where the letters allow it. Two segments hold for names of common length; beyond
    that a third is used rather than a fact dropped.
    """
    alphabet = _alphabet(gsm)
    words = _said(message, gsm)
    for room in ROOMS:
        frame = " ".join(render(room, HOLE if words else "").split())
        body = _filled(frame, words, mark, alphabet, least=_LAST_RESORT if room is ROOMS[-1] else _WORTH_SAYING)
        if body:
            return body
    return alphabet(" ".join(render(ROOMS[-1], "").split()))


def in_full(render: Callable[[Room, str], str], message: str, *, gsm: bool) -> str:
    """What `fit` tries first, before letters are put into the alphabet: everything said, with all the room."""
    words = _said(message, gsm)
    return " ".join(render(ROOMS[0], HOLE if words else "").split()).replace(HOLE, words)


def fitting(whole: str, *, gsm: bool) -> str:
    """The body if it fits as it is, in its alphabet; empty if it has to be squeezed."""
    body = _alphabet(gsm)(whole)
    return body if segments(body) <= SEGMENTS else ""


def _alphabet(gsm: bool) -> Callable[[str], str]:
    return transliterate if gsm else one_line


def _said(message: str, gsm: bool) -> str:
    return _sentence(_without_pictures(transliterate(one_line(message))) if gsm else one_line(message))


def desks_words(revision: RevisionFacts, own: OwnFacts) -> str:
    """What the desk says to customers, the newest first: where room is short, older words are cut."""
    return " ".join(_sentence(one_line(words)) for words in (revision.message, own.carried) if words)


def _filled(frame: str, words: str, mark: str, alphabet: Callable[[str], str], *, least: int) -> str:
    """The frame with the words in its hole, cut to the room that is left; empty where fewer than `least` would be."""
    whole = alphabet(frame.replace(HOLE, words))
    if segments(whole) <= SEGMENTS:
        return whole
    if HOLE not in frame:
        return ""

    def shortened(length: int) -> str:
        return alphabet(frame.replace(HOLE, words[: length - len(mark)].rstrip() + mark))

    # Characters cost one or two units, and a pair is not split over two segments: so it is tried, not reckoned.
    fits = bisect_left(range(least, min(len(words), _MOST)), True, key=lambda n: segments(shortened(n)) > SEGMENTS)
    return shortened(least + fits - 1) if fits else ""


def _sentence(words: str) -> str:
    """The words with a full stop, so that the next sentence begins as one."""
    return f"{words}." if words and words[-1].isalnum() else words


def _without_pictures(words: str) -> str:
    """The words without emoji and the like where that alone keeps them from the cheap alphabet."""
    if encode_info(words).encoding is Encoding.GSM7:
        return words
    bare = "".join(c for c in strip_controls(words) if unicodedata.category(c) not in ("So", "Sk", "Cn", "Mn", "Cf"))
    plain = transliterate(" ".join(bare.split()))
    return plain if encode_info(plain).encoding is Encoding.GSM7 else words
