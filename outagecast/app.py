"""Starts and stops: the core, the daemon, the web server. With `core.py` the only place with a clock, randomness and
ids.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from outagecast.config import Config
from outagecast.core import Core, make_clock, open_core
from outagecast.daemon import Daemon
from outagecast.engine.crashpoints import Crash, CrashPoint, never
from outagecast.engine.owners import Role
from outagecast.storage.turns import PATIENCE
from outagecast.web.server import make_app, make_watch, serve

try:
    import uvloop
except ImportError:  # without the extra `speed`
    _NEW_LOOP: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _NEW_LOOP = uvloop.new_event_loop

__all__ = ["Core", "Daemon", "crash_points", "jumping", "make_clock", "on_a_loop", "open_core", "run"]

T = TypeVar("T")


def on_a_loop(main: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` does, on uvloop where that is installed: it takes a sixth off the cost of the wire."""
    with asyncio.Runner(loop_factory=_NEW_LOOP) as runner:
        return runner.run(main)


async def run(
    config: Config,
    *,
    speed: float = 1.0,
    epoch: datetime | None = None,
    wave_limit: int | None = None,
    role: Role = Role.ALL,
    port: int | None = None,
    on_ready: Callable[[int], None],
    on_setup: Callable[[str], None] | None = None,
    on_seat: Callable[[str], None] | None = None,
) -> None:
    """`serve`: until SIGTERM or SIGINT. `on_ready` gets the port once everything listens; `on_setup` the link that
    makes the first admin, where nobody can sign in yet: a new one with each start.

    `port` stands for the one of the settings. A sender listens only where one is given, for whoever watches it;
    without one `on_ready` gets 0. `on_seat` gets the name of a sender's place on SQLite, "" on PostgreSQL.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        crash, clock = crash_points(os.environ), jumping(make_clock(speed, epoch), os.environ)
        core = await stack.enter_async_context(
            open_core(config, clock=clock, speed=speed, wave_limit=wave_limit, crash=crash, patience=PATIENCE)
        )
        daemon = Daemon(core, role=role, crash=crash)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        if on_seat is not None and role is Role.SENDER:
            on_seat(daemon.owners.seat)
        on_ready(await _listen(stack, daemon, port))
        key = await core.people.roster.new_setup() if role is not Role.SENDER else None
        if key is not None and on_setup is not None:
            on_setup(f"{config.provider.public_url}/desk/setup/{key}")
        await stop.wait()
        core.house.changes.close()


async def _listen(stack: AsyncExitStack, daemon: Daemon, port: int | None) -> int:
    server = daemon.core.config.server
    if daemon.role is not Role.SENDER:
        app = make_app(daemon.services())
        return await stack.enter_async_context(serve(app, host=server.host, port=server.port if port is None else port))
    if port is None:
        return 0
    return await stack.enter_async_context(serve(make_watch(daemon.services()), host=server.host, port=port))


def jumping(clock: Callable[[], datetime], environ: Mapping[str, str]) -> Callable[[], datetime]:
    """For fault tests: a clock that is as many seconds off as the file `OUTAGECAST_CLOCK` says at that moment."""
    name = environ.get("OUTAGECAST_CLOCK", "")
    if not name:
        return clock
    file = Path(name)

    def jumped() -> datetime:
        return clock() + timedelta(seconds=float(file.read_text(encoding="ascii")))

    return jumped


def crash_points(environ: Mapping[str, str]) -> Crash:
    """For fault tests: `OUTAGECAST_CRASHPOINT=name:n` ends the process, as SIGKILL would, at the n-th passage of a
    named point (engine/crashpoints.py). ValueError for a name that no point has.
    """
    wanted, _, number = environ.get("OUTAGECAST_CRASHPOINT", "").partition(":")
    if not wanted:
        return never
    left: dict[str, int] = {CrashPoint(wanted): int(number or "1")}

    def passage(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] == 0:
                os._exit(137)

    return passage
