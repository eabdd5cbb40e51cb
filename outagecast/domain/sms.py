"""What a text costs and what may stand in it: GSM-7 and UCS-2, segments, transliteration, the words STOP, START, HELP.

The alphabets are those of 3GPP TS 23.038; the room in a segment is what the header of a concatenated text leaves over.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, kw_only=True, slots=True)
class SmsSize:
    """How a text is coded and billed. `units` are septets for GSM-7 and 16-bit units for UCS-2."""

    encoding: Encoding
    units: int
    segments: int


_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
_GSM = frozenset(_BASIC + _EXTENSION)
_IS_GSM = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*")
_EXTENDED = re.compile(f"[{re.escape(_EXTENSION)}]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
# A text of its own, and one of several: six octets of each segment then go to the concatenation header.
_GSM_ROOM = (160, 153)
_UCS_ROOM = (70, 67)


def encode_info(text: str) -> SmsSize:
    """The alphabet, units and segments of a text, exactly as it will be billed."""
    if _IS_GSM.fullmatch(text):
        return _size(text, Encoding.GSM7, _EXTENDED, _GSM_ROOM)
    return _size(text, Encoding.UCS2, _ASTRAL, _UCS_ROOM)


def segments(text: str) -> int:
    """How many segments a text is billed as."""
    return encode_info(text).segments


def transliterate(text: str) -> str:
    """The same words in GSM-7 where the Latin alphabet can say them, at half the price or less.

    All or nothing: if one character has no likeness in GSM-7 (Cyrillic, Chinese, an emoji), the text costs UCS-2 anyway
    and keeps its letters; only its blanks and quotation marks become plain. Nothing is ever dropped that a reader would
    see, save accents.
    """
    if _IS_GSM.fullmatch(text):
        return text
    composed = unicodedata.normalize("NFC", text)
    plain = "".join(c if c in _GSM else _likeness(c) for c in composed)
    if _IS_GSM.fullmatch(plain):
        return plain
    return "".join(" " if unicodedata.category(c) == "Zs" else _QUOTES.get(c, c) for c in composed)


def strip_controls(text: str) -> str:
    """The text without what steers a display instead of being read.

    Control characters, direction marks and overrides (a reversed link or amount), invisible blanks, tags, halves of
    surrogate pairs go; tab becomes a blank; every kind of line end becomes a line feed. Joiners stay between letters
    that need them (Persian, Indic scripts, emoji), not in ASCII, where they only hide a word or a link from a filter.
    """
    return _JOINER_IN_ASCII.sub("", _STEERING.sub("", _LINE_END.sub("\n", text).replace("\t", " ")))


def is_stop_word(text: str) -> bool:
    """Whether the whole text is one of the words by which a person opts out (CTIA; Twilio's list)."""
    return _bare(text) in _STOP


def is_start_word(text: str) -> bool:
    """Whether the whole text is one of the words by which a person opts in again."""
    return _bare(text) in _START


def is_help_word(text: str) -> bool:
    """Whether the whole text asks who is writing."""
    return _bare(text) in _HELP


_STOP = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "revoke", "optout", "cancel"})
_START = frozenset({"start", "unstop", "yes"})
_HELP = frozenset({"help", "info"})

_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_JOINER_IN_ASCII = re.compile("(?:(?<=[\x00-\x7f])|^)[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f]|$)")

# Typographic marks stand as code points: in most typefaces they cannot be told from the plain ones.
_QUOTES = dict.fromkeys("\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
_LIKENESS = (
    _QUOTES
    | dict.fromkeys("`\u00b4\u02bb\u02bc\u2032\u2039\u203a", "'")  # accents as apostrophes, prime, single guillemets
    | dict.fromkeys("\u2033\u00ab\u00bb", '"')  # double prime, guillemets
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")  # hyphens, dashes, minus
    | dict.fromkeys("\u2022\u00b7", "-")  # bullet, middle dot
    | {
        "\t": " ",
        "\u2028": "\n",
        "\u2029": "\n",
        "\u2044": "/",
        "\u00d7": "x",
        "÷": "/",
        "±": "+/-",
        "°": "deg",
        "¦": "|",
    }
    | {"©": "(c)", "®": "(r)", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≈": "~"}
    # Latin letters that do not come apart into a base letter and an accent.
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "œ": "oe", "Œ": "OE"}
    | {"ħ": "h", "Ħ": "H", "\u0131": "i", "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "ĸ": "k", "ẞ": "SS"}
    | {"ə": "e", "Ə": "E", "ƒ": "f"}
)


def _size(text: str, encoding: Encoding, double: re.Pattern[str], room: tuple[int, int]) -> SmsSize:
    seams = [match.start() for match in double.finditer(text)]
    units = len(text) + len(seams)
    alone, joined = room
    count = 1 if units <= alone else _pack(len(text), seams, joined)
    return SmsSize(encoding=encoding, units=units, segments=count)


def _pack(length: int, doubles: Iterable[int], room: int) -> int:
    """Segments for `length` characters, of which those at the indices `doubles` take two units that stay together."""
    used = 0
    previous = -1
    for index in doubles:
        used += index - previous - 1
        if used % room == room - 1:
            used += 1  # one unit stays empty: the pair begins the next segment
        used += 2
        previous = index
    used += length - previous - 1
    return -(-used // room)


def _likeness(char: str) -> str:
    """What stands for a character outside GSM-7; the character itself where nothing does."""
    if char in _LIKENESS:
        return _LIKENESS[char]
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category in {"Mn", "Cf"}:
        return ""
    pieces = unicodedata.normalize("NFKD", char)
    if pieces == char:
        return char
    return "".join(c if c in _GSM else _LIKENESS.get(c, "" if unicodedata.category(c) == "Mn" else c) for c in pieces)


def _bare(text: str) -> str:
    """Letters and digits only: ` “Stop!” ` and `opt-out` read like their words."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
