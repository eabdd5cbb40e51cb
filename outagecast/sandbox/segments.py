"""How many segments a text costs: 3GPP TS 23.038 (GSM 7-bit) and TS 23.040 (concatenation), reckoned on its own.

One segment holds 160 septets or 70 UTF-16 units; parts of a longer text hold 153 or 67, because 6 octets go to the
header. A character of the extension table is two septets, one outside the BMP two units, and neither may be split.
"""

from dataclasses import dataclass

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
)
EXTENSION = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """`encoding` is "GSM-7" or "UCS-2"; `units` are septets or UTF-16 units; `count` is at least 1."""

    encoding: str
    units: int
    count: int


def segments(body: str) -> Segments:
    """What this text costs as an SMS."""
    if all(char in BASIC or char in EXTENSION for char in body):
        widths = [2 if char in EXTENSION else 1 for char in body]
        return _pack("GSM-7", widths, single=160, part=153)
    widths = [2 if ord(char) > 0xFFFF else 1 for char in body]
    return _pack("UCS-2", widths, single=70, part=67)


def _pack(encoding: str, widths: list[int], *, single: int, part: int) -> Segments:
    units = sum(widths)
    if units <= single:
        return Segments(encoding=encoding, units=units, count=1)
    count, room = 1, part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return Segments(encoding=encoding, units=units, count=count)
