"""The columns of the inventory: how each cell of a file or field of the API is read, and what it becomes.

`None` stands for "not mentioned" (the stored value stays), "" for "empty" (it is cleared).
"""

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from outagecast.domain import customers
from outagecast.domain.customers import CustomerStatus, ToldVia
from outagecast.domain.facts import to_micros
from outagecast.domain.needs import parse_needs

Value: TypeAlias = str | int | float
Reader: TypeAlias = Callable[[str, str | None], Value]
"""(trimmed text that is not empty, the provider's region) -> canonical value; ValueError says what is wrong."""


class InventoryKind(StrEnum):
    """The kinds in the order in which they refer to each other; the words of file names and API paths."""

    SITES = "sites"
    ELEMENTS = "elements"
    SERVICES = "services"
    CUSTOMERS = "customers"
    CONTACTS = "contacts"
    CIRCUITS = "circuits"
    SUBSCRIPTIONS = "subscriptions"

    @property
    def singular(self) -> str:
        """`customer`: the word of scopes and of sentences."""
        return self.value[:-1]


class Keeping(StrEnum):
    """How a value is stored: text as it is, an empty one as NULL or 0, the last three as the number of a shared row."""

    TEXT = "text"
    OPTIONAL = "optional"
    NUMBER = "number"
    NEED = "need"
    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column. `refers` names the kind whose ids it holds. A `lenient` one is emptied where its value is bad."""

    name: str
    stored: str
    read: Reader | None = None
    keeping: Keeping = Keeping.TEXT
    default: Value = ""
    required: bool = False
    lenient: bool = False
    refers: InventoryKind | None = None


def clean(text: str) -> str:
    """Trimmed, on one line: whatever would break a line, a header or a terminal becomes a blank."""
    if text.isprintable():
        return text.strip()
    plain = "".join(" " if unicodedata.category(char) in _BREAKING else char for char in text)
    return " ".join(plain.split()) if plain != text else text.strip()


def canonical(column: Column, text: str, region: str | None) -> Value:
    """The value of a trimmed cell; an empty one takes the column's default. ValueError if it is bad."""
    if not text:
        return column.default
    return column.read(text, region) if column.read else text


_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_FLAGS = MappingProxyType(
    dict.fromkeys(("yes", "y", "true", "1", "on", "x"), 1) | dict.fromkeys(("no", "n", "false", "0", "off", "-"), 0)
)


def _nameable(text: str, _region: str | None) -> str:
    if ";" in text or "|" in text:
        raise ValueError('holds ";" or "|", which depends_on could not name')
    return text


def _need(text: str, _region: str | None) -> str:
    try:
        return parse_needs(text).text
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from None


def _flag(text: str, _region: str | None) -> int:
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise ValueError('is neither "yes" nor "no"') from None


def _one_of(known: type[StrEnum]) -> Reader:
    def read(text: str, _region: str | None) -> str:
        try:
            return known(text.lower()).value
        except ValueError:
            raise ValueError(f"is not one of {', '.join(known)}") from None

    return read


def _words(known: tuple[str, ...]) -> Reader:
    return lambda text, _region: customers.words(text, known)


def _degrees(limit: int) -> Reader:
    def read(text: str, _region: str | None) -> float:
        try:
            # A decimal comma is what spreadsheets write in half of Europe.
            degrees = float(text.replace(",", "."))
        except ValueError:
            raise ValueError("is not a number of degrees (write 38.04 or -84.5)") from None
        if not math.isfinite(degrees) or abs(degrees) > limit:
            raise ValueError(f"is not between -{limit} and {limit} degrees")
        return degrees

    return read


def _whole(text: str, _region: str | None) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None
    if abs(number) > 1_000_000_000:
        raise ValueError("is too large a number")
    return number


def _phone(text: str, region: str | None) -> str:
    return customers.phone(text, region)


def _email(text: str, _region: str | None) -> str:
    return customers.email(text)


def _language(text: str, _region: str | None) -> str:
    return customers.language(text)


def _zone(text: str, _region: str | None) -> str:
    return customers.zone(text)


def _quiet_hours(text: str, _region: str | None) -> str:
    return customers.quiet_hours(text)


def _moment(text: str, _region: str | None) -> int:
    return to_micros(customers.moment(text))


def _lower(text: str, _region: str | None) -> str:
    return text.lower()


def _id(*, nameable: bool = True) -> Column:
    return Column(name="id", stored="id", read=_nameable if nameable else None, required=True)


def _name(*, required: bool = False) -> Column:
    return Column(name="name", stored="name", required=required)


def _to(name: str, kind: InventoryKind, *, stored: str = "", required: bool = False) -> Column:
    """A reference; the required ones are never NULL."""
    keeping = Keeping.TEXT if required else Keeping.OPTIONAL
    return Column(name=name, stored=stored or name, keeping=keeping, required=required, refers=kind)


def _text(name: str, read: Reader | None = None, *, lenient: bool = False) -> Column:
    return Column(name=name, stored=name, read=read, lenient=lenient)


def _number(name: str, read: Reader, *, lenient: bool = False) -> Column:
    return Column(name=name, stored=name, read=read, keeping=Keeping.NUMBER, default=0, lenient=lenient)


def _optional(name: str, read: Reader) -> Column:
    return Column(name=name, stored=name, read=read, keeping=Keeping.OPTIONAL, lenient=True)


_LANGUAGE = _text("language", _language, lenient=True)
_ZONE = _text("timezone", _zone, lenient=True)
_DEPENDS_ON = Column(name="depends_on", stored="need_id", read=_need, keeping=Keeping.NEED)
STATUS = Column(name="status", stored="status", read=_one_of(CustomerStatus), default=CustomerStatus.ACTIVE.value)
_K = InventoryKind

COLUMNS: Mapping[InventoryKind, tuple[Column, ...]] = MappingProxyType(
    {
        _K.SITES: (
            *(_id(), _name(), _optional("latitude", _degrees(90)), _optional("longitude", _degrees(180))),
            *(_ZONE, _text("area")),
        ),
        _K.ELEMENTS: (
            *(_id(), Column(name="kind", stored="kind", read=_lower, required=True), _name()),
            *(_to("site", _K.SITES, stored="site_id"), _to("a", _K.ELEMENTS), _to("z", _K.ELEMENTS)),
            *(_number("gateway", _flag), _DEPENDS_ON),
        ),
        _K.SERVICES: (
            *(_id(), _name(required=True), _number("public", _flag), _number("position", _whole, lenient=True)),
            _DEPENDS_ON,
        ),
        _K.CUSTOMERS: (
            *(_id(nameable=False), _name(required=True), STATUS, _to("parent_id", _K.CUSTOMERS)),
            Column(name="told_via", stored="told_via", read=_one_of(ToldVia), default=ToldVia.SELF.value),
            *(_LANGUAGE, _ZONE, _text("tier"), _text("tags")),
        ),
        _K.CONTACTS: (
            *(_id(nameable=False), _to("customer_id", _K.CUSTOMERS, required=True), _name(required=True)),
            _text("role"),
            Column(name="email", stored="email_id", read=_email, keeping=Keeping.EMAIL, lenient=True),
            Column(name="phone", stored="phone_id", read=_phone, keeping=Keeping.PHONE, lenient=True),
            *(_LANGUAGE, _ZONE, _text("channels", _words(customers.CHANNEL_WORDS), lenient=True)),
            _text("notify", _words(customers.NOTIFY_WORDS), lenient=True),
            _text("quiet_hours", _quiet_hours, lenient=True),
            _text("wake_for", _words(customers.WAKE_WORDS), lenient=True),
            *(_optional("consent_at", _moment), _text("consent_source"), STATUS),
        ),
        _K.CIRCUITS: (
            *(_id(), _to("customer_id", _K.CUSTOMERS, required=True), _to("service_id", _K.SERVICES), _text("label")),
            *(_to("site", _K.SITES, stored="site_id"), _text("place"), _DEPENDS_ON, STATUS),
        ),
        _K.SUBSCRIPTIONS: (
            _to("customer_id", _K.CUSTOMERS, required=True),
            _to("service_id", _K.SERVICES, required=True),
        ),
    }
)
"""The columns of each file, in the order of the documentation."""


def keys(kind: InventoryKind) -> tuple[str, ...]:
    """The columns that name a row."""
    return ("customer_id", "service_id") if kind is InventoryKind.SUBSCRIPTIONS else ("id",)
