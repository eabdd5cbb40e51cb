"""Running a command's work on the core: settings, database, clean errors, and who does it."""

import asyncio
import getpass
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from outagecast.app import Core, open_core
from outagecast.commands.options import BAD_INPUT, FAILED, Failed
from outagecast.commands.settings import read_config
from outagecast.commands.shown import printable
from outagecast.config import Config
from outagecast.domain.errors import FieldError, Invalid, NotFound, OutageCastError
from outagecast.domain.imports import ImportRefused
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.log import set_up_logging
from outagecast.rendering.errors import BrokenTemplates
from outagecast.storage.engine import Database, DatabaseFault, DatabaseRefused
from outagecast.storage.server import reason
from outagecast.web.times import read_moment, read_past

T = TypeVar("T")


def run(ctx: click.Context, act: Callable[[Core], Awaitable[T]], *, scope_prefix: str = "") -> T:
    """What `act` answers, on the core of the command's settings. Failed has the lines of whatever went wrong.

    `scope_prefix` is what stands before `element` in the options that name the scope (`add-`).
    """
    return run_with(read_config(ctx), act, scope_prefix=scope_prefix)


def run_with(config: Config, act: Callable[[Core], Awaitable[T]], *, scope_prefix: str = "") -> T:
    """As `run`, with settings that were read already."""

    async def work() -> T:
        async with open_core(config) as core:
            return await act(core)

    set_up_logging(sys.stderr, level="warning")
    with plainly(scope_prefix):
        return asyncio.run(work())


def run_on_database(config: Config, act: Callable[[Database], Awaitable[T]]) -> T:
    """As `run`, on the database as it is: nothing is made, nothing migrated."""

    async def work() -> T:
        db = Database.open(config.database.url.get_secret_value(), folder=config.folder)
        try:
            if db.path is not None and not db.path.exists():
                raise DatabaseRefused(f"{db.path}: there is no such file (make it with: outagecast db upgrade)")
            return await act(db)
        finally:
            await db.close()

    set_up_logging(sys.stderr, level="warning")
    with plainly():
        return asyncio.run(work())


@contextmanager
def plainly(scope_prefix: str = "") -> Iterator[None]:
    """Turns whatever can go wrong into Failed: one clear line for each mistake."""
    try:
        yield
    except ImportRefused as error:
        raise Failed([printable(line) for line in error.lines()]) from None
    except Invalid as error:
        raise Failed([_line(each, scope_prefix) for each in error.errors]) from None
    except BrokenTemplates as error:
        raise Failed(list(error.problems), FAILED) from None
    except OutageCastError as error:
        raise Failed([printable(str(error))], BAD_INPUT if isinstance(error, NotFound) else FAILED) from None
    except DatabaseRefused as error:
        raise Failed([str(error)], FAILED) from None
    except DatabaseFault as error:
        raise Failed([f"the database cannot do this now: {reason(error)}; nothing was changed"], FAILED) from None
    except BrokenPipeError:  # whoever read our result has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Failed([], FAILED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failed([f"{where}{error.strerror or error}"], FAILED) from None


def me() -> Actor:
    """Who runs the command, by login name: whoever can read the settings and the database may do everything."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return Actor(kind=ActorKind.CLI, name=name, role=Role.ADMIN)


def read_time(option: str, text: str | None, config: Config, *, past: bool = False) -> datetime | None:
    """A moment as typed: RFC 3339, or `14:30`, `+90`, `2026-11-23 06:00` in the provider's zone. Failed if none."""
    if text is None:
        return None
    if re.match(r"\d{4}-\d{2}-\d{2}[Tt]", text):
        try:
            moment = datetime.fromisoformat(text.upper())
        except ValueError:
            raise Failed([f"{option}: {printable(text)} is not a time that exists"]) from None
        if moment.tzinfo is None:
            raise Failed([f"{option}: {text} has no offset: write {text}Z, or {text}-05:00"])
        return moment.astimezone(UTC)
    zone, now = ZoneInfo(config.provider.timezone), datetime.now(UTC)
    try:
        found = read_past(text, zone=zone, now=now) if past else read_moment(text, zone=zone, now=now)
    except ValueError as error:
        raise Failed([f"{option}: {printable(text)} {error}"]) from None
    if found is None:
        raise Failed([f"{option}: is empty"])
    return found


def body_of(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, without the options that were not."""
    return {name: value for name, value in given.items() if value is not None}


def _line(error: FieldError, scope_prefix: str) -> str:
    """`scope.elements[0]: …` as `--element: …`, `eta_from: …` as `--eta-from: …`."""
    found = re.match(r"scope(?:_(add|remove))?\.(\w+?)s(?:\[|$)", error.field)
    if found:
        prefix = f"{found[1]}-" if found[1] else scope_prefix
        return printable(f"--{prefix}{found[2]}: {error.message}")
    if re.fullmatch(r"[a-z]+(_[a-z]+)*", error.field):
        name = error.field.upper() if error.field in ("title", "id") else f"--{error.field.replace('_', '-')}"
        return printable(f"{name}: {error.message}")
    return printable(f"{error.field}: {error.message}" if error.field else error.message)
