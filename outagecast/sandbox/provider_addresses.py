"""Addresses for the invented provider's contacts: possible, given out once, and nobody's."""

import re
import unicodedata
from collections.abc import Iterator

# 555-0100 to 555-0199 is kept for fiction in every North American area code: 40 codes give 4,000 numbers nobody has.
AREA_CODES = tuple(
    f"{code}"
    for code in (
        859,
        502,
        606,
        270,
        364,
        513,
        812,
        740,
        937,
        419,
        567,
        330,
        234,
        216,
        440,
        380,
        220,
        326,
        317,
        463,
        930,
        765,
        260,
        574,
        219,
        615,
        629,
        423,
        865,
        931,
        304,
        681,
        618,
        217,
        309,
        731,
        901,
        276,
        540,
        614,
    )
)
# Germany's regulator keeps these blocks for fiction.
GERMAN_BLOCKS = ("+4930231250", "+4989999980", "+4940669690", "+4917139200")


class Addresses:
    """Gives out each address once, in a fixed order."""

    def __init__(self) -> None:
        self._phones = {code: _numbers(code) for code in AREA_CODES}
        self._german = (f"{block}{number:02d}" for number in range(100) for block in GERMAN_BLOCKS)
        self._mails: set[str] = set()

    def mail(self, name: str, domain: str) -> str:
        local = slug(name.replace(" ", "."), keep=".")
        address, number = f"{local}@{domain}", 1
        while address in self._mails:
            number += 1
            address = f"{local}{number}@{domain}"
        self._mails.add(address)
        return address

    def phone(self, area_code: str, *, german: bool) -> str:
        """A number of the place's own area code while there are any, then of the next; "" when all are given out."""
        if german:
            return next(self._german, "")
        for code in (area_code, *AREA_CODES):
            number = next(self._phones[code], "")
            if number:
                return number
        return ""


def slug(text: str, *, keep: str = "") -> str:
    """Letters, digits and hyphens only: `Böhm & Söhne` is `bohm-sohne`."""
    plain = text.replace("ß", "ss").replace("Đ", "D").replace("đ", "d").replace("ł", "l").replace("Ł", "L")
    plain = unicodedata.normalize("NFKD", plain.replace("ø", "o").replace("æ", "ae"))
    plain = plain.encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(rf"[^a-z0-9{re.escape(keep)}]+", "-", plain).strip("-.") or "customer"


def _numbers(code: str) -> Iterator[str]:
    return (f"+1{code}55501{number:02d}" for number in range(100))
