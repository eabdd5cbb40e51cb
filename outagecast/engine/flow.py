"""How many messages a second each channel gets out at present: what a promise and an honest last moment reckon with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from outagecast.domain.message import ChannelName

UNLIMITED: Mapping[ChannelName, float] = {ChannelName.EMAIL: 200.0, ChannelName.SMS: 20.0}
"""Messages a second reckoned with where no limit is set and nothing was measured: well below what was measured, so that
a promise starts early.
"""


@dataclass(slots=True)
class Flow:
    """Written by whoever looks at the routes (engine/route_watch.py). `present`: messages a second of the route that
    carries now. `cut`: the channels of which no route gets through.
    """

    present: Mapping[ChannelName, float] = field(default_factory=dict)
    cut: frozenset[ChannelName] = frozenset()
