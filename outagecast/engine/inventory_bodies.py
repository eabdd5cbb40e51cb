"""One thing of the API as one row of an import, so that both are judged and applied alike."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.imports import Row
from outagecast.domain.inventory import COLUMNS, STATUS, Column, InventoryKind, Keeping, Value, canonical, clean
from outagecast.domain.message import ChannelName
from outagecast.domain.suppression import ADDRESS_REASONS, SuppressReason

Suppression: TypeAlias = tuple[str, str, SuppressReason]
"""(channel, normalised address, why it is not to be written to)."""
_LONGEST = 2_000
_FIELD_OF = {ChannelName.EMAIL.value: "email", ChannelName.SMS.value: "phone"}
_ADDRESS_FIELDS = ("channel", "to", "consent_at", "consent_source", "state")
_ADDRESS_ID = "id"
"""Shown when a contact is read, so it may come back; an address is known by its channel and value."""
_STATES = ("active", SuppressReason.SHARED_ADDRESS.value, *sorted(reason.value for reason in ADDRESS_REASONS))


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingRow:
    """`status` is that of kinds whose files have none."""

    row: Row
    status: str | None
    suppressions: tuple[Suppression, ...]


def row_of(
    kind: InventoryKind, thing_id: str, body: Mapping[str, Any], *, stored: Mapping[str, Any] | None, region: str | None
) -> ThingRow:
    """The row of a body. Fields that are not mentioned stay as they are, null and "" clear; a new thing needs the
    required ones. Invalid lists every field that is wrong.
    """
    return _Body(kind=kind, stored=stored, region=region, errors=[]).read(thing_id, body)


@dataclass(kw_only=True, slots=True)
class _Body:
    kind: InventoryKind
    stored: Mapping[str, Any] | None
    region: str | None
    errors: list[FieldError]

    def read(self, thing_id: str, body: Mapping[str, Any]) -> ThingRow:
        fields = {"id": thing_id} | {name: value for name, value in body.items() if name != "addresses"}
        paths: dict[str, str] = {}
        states: dict[str, str] = {}
        if self.kind is InventoryKind.CONTACTS and "addresses" in body:
            self._addresses(body["addresses"], fields, paths, states)
        self._unknown(body)
        values = [self._value(column, fields, paths.get(column.name, column.name)) for column in COLUMNS[self.kind]]
        status = self._value(STATUS, fields, "status") if STATUS not in COLUMNS[self.kind] else None
        attributes = self._attributes(fields.get("attributes", {})) if "attributes" in fields else None
        if self.errors:
            raise Invalid(self.errors)
        found = {column.name: value for column, value in zip(COLUMNS[self.kind], values, strict=True)}
        return ThingRow(
            row=(0, 1, *values, attributes),
            status=None if status is None else str(status),
            suppressions=tuple(
                (channel, str(found[_FIELD_OF[channel]]), SuppressReason(state))
                for channel, state in states.items()
                if state in {reason.value for reason in ADDRESS_REASONS}
            ),
        )

    def _value(self, column: Column, fields: Mapping[str, Any], path: str) -> Value | None:
        if column.name not in fields:
            if column.required and self.stored is None:
                self._wrong(path, "is missing")
            return None
        text = self._text(column, fields[column.name], path)
        if text is None:
            return None
        if not text and column.required:
            self._wrong(path, "is empty")
            return None
        try:
            return canonical(column, text, self.region)
        except ValueError as error:
            self._wrong(path, f'"{text[:80]}" {error}')
            return None

    def _text(self, column: Column, value: object, path: str) -> str | None:
        """The value as the cell of a file would hold it; None if it is of a wrong type."""
        match value:
            case None:
                return ""
            case str():
                if len(value) > _LONGEST:
                    self._wrong(path, f"is longer than {_LONGEST} characters")
                return clean(value[:_LONGEST])
            case bool():
                if column.keeping is Keeping.NUMBER:
                    return "yes" if value else "no"
            case int() | float():
                if column.keeping in (Keeping.NUMBER, Keeping.OPTIONAL):
                    return str(value)
            case list():
                if column.keeping is Keeping.TEXT and all(isinstance(word, str) for word in value):
                    return clean(" ".join(value))
        self._wrong(path, "is not a text")
        return None

    def _addresses(self, given: object, fields: dict[str, Any], paths: dict[str, str], states: dict[str, str]) -> None:
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            self._wrong("addresses", "is not a list of objects {channel, to, …}")
            return
        fields |= {"email": "", "phone": ""}
        for place, item in enumerate(given):
            path = f"addresses[{place}]"
            for name in sorted(set(item) - {*_ADDRESS_FIELDS, _ADDRESS_ID}):
                self._wrong(f"{path}.{name}", f"is unknown (use {', '.join(_ADDRESS_FIELDS)})")
            channel, state = item.get("channel"), item.get("state", "active")
            if channel not in _FIELD_OF:
                self._wrong(f"{path}.channel", f"is not one of {', '.join(_FIELD_OF)}")
                continue
            if state not in _STATES:
                self._wrong(f"{path}.state", f"is not one of {', '.join(_STATES)}")
                continue
            if _FIELD_OF[channel] in paths:
                self._wrong(path, f"is a second address for {channel}: make another contact of it")
                continue
            if not item.get("to"):
                self._wrong(f"{path}.to", "is missing")
            fields[_FIELD_OF[channel]] = item.get("to")
            paths[_FIELD_OF[channel]] = f"{path}.to"
            states[channel] = state
            self._consent(item, channel, fields, paths, path)

    def _consent(
        self, item: Mapping[str, Any], channel: str, fields: dict[str, Any], paths: dict[str, str], path: str
    ) -> None:
        """A contact has one consent: that for texts where both are given, as it is texts that need one."""
        for name in ("consent_at", "consent_source"):
            if name in item and (channel == ChannelName.SMS or name not in paths):
                fields[name] = item[name]
                paths[name] = f"{path}.{name}"

    def _attributes(self, given: object) -> str | None:
        """A merge patch that leaves exactly what is given."""
        if given is None:
            given = {}
        if not isinstance(given, dict) or not all(isinstance(v, str | int | float | None) for v in given.values()):
            self._wrong("attributes", "is not an object of texts")
            return None
        before = (self.stored or {}).get("attributes") or {}
        patch = dict.fromkeys(before) | {clean(k): clean(v) if isinstance(v, str) else v for k, v in given.items()}
        return json.dumps(patch, separators=(",", ":"), ensure_ascii=False)

    def _unknown(self, body: Mapping[str, Any]) -> None:
        known = [*(column.name for column in COLUMNS[self.kind]), "status", "attributes"]
        if self.kind is InventoryKind.CONTACTS:
            known.append("addresses")
        for name in body:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                self._wrong(name, f"is unknown (did you mean {near[0]}?)" if near else "is unknown")

    def _wrong(self, field: str, message: str) -> None:
        self.errors.append(FieldError(field=field, message=message))
