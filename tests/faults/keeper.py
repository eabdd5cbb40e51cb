"""Whoever looks after the daemon while a story is told: does the deeds of a plan in their time, and starts it again."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic, sleep
from types import TracebackType

from tests.faults.scene import Scene
from tests.support.daemon import CRASHED, KILLED, until

EXPECTED = frozenset({0, KILLED, CRASHED})


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What is done so many seconds after the beginning; `undo` so many seconds later, or at the end at the latest."""

    at: float
    name: str
    do: Callable[[], object]
    undo: Callable[[], object] | None = None
    lasting: float = 0.0


@dataclass(kw_only=True)
class Keeper:
    """`with Keeper(scene=…, deeds=…):` tell the story. Afterwards all deeds are done and undone, and the daemon is
    ready. `crashpoints`: what its next lives are to die of; `gap`: seconds it stays dead.
    """

    scene: Scene
    deeds: Sequence[Deed] = ()
    crashpoints: list[str] = field(default_factory=list)
    gap: float = 0.05
    deaths: list[int] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _told: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def __enter__(self) -> "Keeper":
        self.scene.spawn(crashpoint=self._next_crash())
        self._thread = Thread(target=self._keep, daemon=True, name="keeper")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told.set()
        assert self._thread is not None
        self._thread.join(180)
        assert not self.troubles, self.troubles
        if kind is None:
            assert not self._thread.is_alive(), "the keeper is stuck"
            self.scene.calm()
            until(self._is_well, "the daemon is ready after all", within=120, every=0.02)

    def kill(self) -> None:
        """SIGKILL; it will be started again."""
        if not self.scene.dead():
            self.scene.kills += 1
            self.scene.signal(signal.SIGKILL)

    def _keep(self) -> None:
        began = monotonic()
        waiting = sorted(self.deeds, key=lambda deed: deed.at)
        undone: list[tuple[float, Deed]] = []
        while waiting or undone or not self._told.is_set():
            now = monotonic() - began
            try:
                while waiting and waiting[0].at <= now:
                    deed = waiting.pop(0)
                    deed.do()
                    if deed.undo is not None:
                        undone.append((now + deed.lasting, deed))
                for due in [each for each in undone if each[0] <= now]:
                    undone.remove(due)
                    if due[1].undo is not None:
                        due[1].undo()
                self._look()
            except Exception as error:
                self.troubles.append(f"{type(error).__name__}: {error}")
                return
            sleep(0.01)

    def _look(self) -> None:
        scene = self.scene
        if not scene.is_alive:
            scene.spawn(crashpoint=self._next_crash())
        elif scene.dead():
            status = scene.gone()
            self.deaths.append(status)
            sleep(self.gap)
            scene.spawn(crashpoint=self._next_crash())

    def _next_crash(self) -> str:
        return self.crashpoints.pop(0) if self.crashpoints else ""

    def _is_well(self) -> bool:
        if self.scene.dead():
            self._look()
        return self.scene.is_ready()

    @property
    def odd_deaths(self) -> list[int]:
        """Ends that nobody has brought about."""
        return [status for status in self.deaths if status not in EXPECTED]
