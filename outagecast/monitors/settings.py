"""The monitoring systems that may post to `/hooks/{name}`."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from outagecast.monitors import FORMATS
from outagecast.monitors.mapping import Places
from outagecast.settings_base import Settings
from outagecast.settings_types import Count, Duration, FilledSecret


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", text):
        raise ValueError("is not a name for an address (use small letters, digits, - and _)")
    return text


def _format(text: str) -> str:
    if text not in FORMATS:
        raise ValueError(f'is no known format: "{text}" (write {", ".join(FORMATS)})')
    return text


def _payload_paths(value: object) -> object:
    paths = value if isinstance(value, list | tuple) else (value,) if value else ()
    if not all(isinstance(path, str) and all(part.strip() for part in path.split(".")) for path in paths):
        raise ValueError('is not a path (write the payload\'s names with dots between, like "labels.circuit")')
    return tuple(paths)


PayloadPaths = Annotated[tuple[str, ...], BeforeValidator(_payload_paths)]
"""Names in the payload with dots between; several are tried in order; empty: the format's own place."""


class MonitorMap(Settings):
    """Where a payload names what is down."""

    circuit: PayloadPaths = ()
    element: PayloadPaths = ()
    service: PayloadPaths = ()
    site: PayloadPaths = ()
    area: PayloadPaths = ()
    customer: PayloadPaths = ()

    def places(self) -> Places:
        """As the readers take it: only the kinds that are given."""
        return Places(paths={kind: paths for kind, paths in self if paths})


class MonitorSettings(Settings):
    """One monitor. `hold_down`: how long an alert must last; `max_customers`: above it a person releases, always."""

    name: Annotated[str, AfterValidator(_name)] = Field(examples=['"prometheus"'])
    format: Annotated[str, AfterValidator(_format)] = Field(examples=['"alertmanager"'])
    token: FilledSecret = Field(examples=['{ env = "HOOK_TOKEN" }'])
    action: Literal["draft", "declare"] = "draft"
    hold_down: Duration = timedelta(minutes=2)
    max_customers: Count = 500
    on_clear: Literal["note", "draft", "resolve"] = "note"
    clear_after: Duration = timedelta(minutes=10)
    map: MonitorMap = MonitorMap()
