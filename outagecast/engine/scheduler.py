"""The ticker: the only user of APScheduler. It holds no facts; what is due stands in rows, and a tick asks for it.

No job sends anything: APScheduler cancels running coroutines when it shuts down, and its default grace of one second
drops late runs in silence, so grace is off, runs that were missed are joined to one, and each job runs once at a
time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from time import monotonic

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

log = structlog.get_logger(__name__)
Job = Callable[[], Awaitable[object]]


class Scheduler:
    """`every` adds a job; a job that fails is logged and runs again at its next time."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._scheduler.add_listener(self._heard, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        self.last_tick: dict[str, float] = {}
        """Monotonic second at which each job last ended well: what /readyz looks at."""
        self.troubles: dict[str, int] = {}

    def every(self, interval: timedelta, name: str, job: Job) -> None:
        async def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):  # only our own stop cancels a tick; its work is in rows
                await job()
            self.last_tick[name] = monotonic()

        self._scheduler.add_job(run, "interval", seconds=interval.total_seconds(), id=name)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _heard(self, event: JobExecutionEvent) -> None:
        self.troubles[event.job_id] = self.troubles.get(event.job_id, 0) + 1
        if event.code == EVENT_JOB_ERROR:
            log.error("tick_failed", job=event.job_id, error=repr(event.exception), exc_info=event.exception)
