"""Every fault by its number: which play shows it, on which databases, and who looks after what is not played here."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.plays import chaos, doors, process, providers, storage, times
from tests.faults.scene import Judgement, Scene

Play = Callable[[Scene, Random], Judgement]
BOTH = ("sqlite", "postgresql")
FILE = ("sqlite",)
SERVER = ("postgresql",)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`short`: seeds that every test run plays; without one it belongs to the long form."""

    number: str
    play: Play
    databases: tuple[str, ...] = BOTH
    short: tuple[int, ...] = (1,)

    @property
    def name(self) -> str:
        return f"{self.number}-{self.play.__name__}"

    @property
    def about(self) -> str:
        return " ".join((self.play.__doc__ or "").split())


SCENARIOS = (
    Scenario(number="F1", play=process.f1, short=(1, 2)),
    Scenario(number="F2", play=process.f2, short=(1, 2)),
    Scenario(number="F3", play=process.f3, short=(1, 2)),
    Scenario(number="F4", play=doors.f4),
    Scenario(number="F5", play=doors.f5),
    Scenario(number="F6", play=providers.f6, short=(1, 2, 3)),
    Scenario(number="F6", play=providers.f6_wire, short=(1, 2)),
    Scenario(number="F6", play=providers.f6_half_answer),
    Scenario(number="F6", play=providers.five_ms),
    Scenario(number="F7", play=providers.f7),
    Scenario(number="F8", play=providers.f8),
    Scenario(number="F9", play=providers.f9),
    Scenario(number="F9", play=providers.f9_killed),
    Scenario(number="F10", play=providers.f10),
    Scenario(number="F11", play=times.f11),
    Scenario(number="F11", play=times.f11_killed),
    Scenario(number="F12", play=times.f12),
    Scenario(number="F13", play=storage.f13, databases=FILE),
    Scenario(number="F13", play=storage.f13_full, databases=FILE),
    Scenario(number="F14", play=storage.f14, databases=FILE),
    Scenario(number="F14", play=storage.read_only, databases=FILE),
    Scenario(number="F15", play=providers.f15),
    Scenario(number="F16", play=providers.f16),
    Scenario(number="F17", play=providers.f17),
    Scenario(number="F18", play=doors.f18),
    Scenario(number="F19", play=process.f19, databases=FILE),
    Scenario(number="F19", play=process.f19_two, short=(1, 2)),
    Scenario(number="F19", play=process.paused),
    Scenario(number="F20", play=process.f20),
    Scenario(number="F21", play=storage.f21, databases=FILE),
    Scenario(number="F22", play=doors.f22),
    Scenario(number="F24", play=providers.f24, databases=FILE),
    Scenario(number="F26", play=storage.f26, databases=FILE),
    Scenario(number="F27", play=providers.f27),
    Scenario(number="F28", play=process.f28, short=()),
    Scenario(number="F30", play=storage.f30, databases=FILE),
    Scenario(number="F0", play=chaos.chaos, short=(1, 2)),
)
"""F0 is ours: everything over one story."""
ELSEWHERE = {
    "F23": "tests/rendering/test_overrides.py: refused at the start; tests/engine/test_dispatcher.py: words that fail",
    "F25": "does not apply: returned mails are not read; a refusal at once is F6, a STOP F16",
    "F29": "tests/faults/test_life.py",
}


def scenario(name: str) -> Scenario:
    """By `F6-f6_wire`; KeyError for a name that none has."""
    return {one.name: one for one in SCENARIOS}[name]
