"""What goes by another route than usual, for the line that stands over every page of the desk."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from outagecast.domain.routes import Carries, Passage
from outagecast.web.ports import RouteView

CHANNELS: Mapping[str, str] = {"email": "E-mail", "sms": "SMS"}
_CUSTOMERS = (Carries.CUSTOMERS, Carries.ALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detour:
    """`whose` messages of a channel go `by` another route, because the one before is `down`. `by` is empty where it is
    not decided yet.
    """

    channel: str
    whose: str
    by: str
    down: RouteView


def detours(views: Iterable[RouteView]) -> list[Detour]:
    """One for each channel whose first route is down, and one for each of the staff's own that is."""
    found: list[Detour] = []
    known = list(views)
    for view in known:
        if view.passage is Passage.UP or not (view.is_staff or view.carries in _CUSTOMERS):
            continue
        others = [v for v in known if v.channel == view.channel and not v.is_staff and v is not view]
        wanted = (Carries.STAFF, Carries.ALL) if view.is_staff else _CUSTOMERS
        by = next((v.name for v in others if v.passage is Passage.UP and v.carries in wanted), "")
        if any(d.channel == view.channel and d.whose == _whose(view) for d in found):
            continue
        found.append(Detour(channel=CHANNELS.get(view.channel, view.channel), whose=_whose(view), by=by, down=view))
    return found


def _whose(view: RouteView) -> str:
    return "staff alerts" if view.is_staff else "customers"
