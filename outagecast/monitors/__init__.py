"""Monitoring systems: one module a format, each with `read(payload, places) -> list[Event]`.

The registry is `FORMATS`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from outagecast.domain.event import Event
from outagecast.monitors import alertmanager, generic
from outagecast.monitors.mapping import Payload, Places

Reader = Callable[[Payload, Places], list[Event]]
FORMATS: Mapping[str, Reader] = MappingProxyType({"generic": generic.read, "alertmanager": alertmanager.read})
"""What `[[monitors]] format` may name."""
