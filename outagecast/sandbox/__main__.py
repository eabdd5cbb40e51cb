"""`python -m outagecast.sandbox`: the sandbox as a process of its own, until SIGTERM, SIGINT or its parent's death."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from outagecast.sandbox.clock import SandboxClock
from outagecast.sandbox.journal import JournalBusy
from outagecast.sandbox.server import Sandbox, start
from outagecast.sandbox.settings import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, SandboxSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after an orderly end, 1 when it could not start (one line on stderr says why)."""
    options = parser().parse_args(arguments)
    try:
        return asyncio.run(_serve(options))
    except (OSError, JournalBusy, KeyError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command's options; the `sandbox` subcommand takes the same."""
    options = argparse.ArgumentParser(prog="outagecast sandbox", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--smtp-port", type=int, default=2525, help="0: any free port")
    options.add_argument("--http-port", type=int, default=8025, help="inbox, gateway, control API; 0: any free port")
    options.add_argument("--sms-port", type=int, help="a second port with the gateway only, which a fault can close")
    options.add_argument("--state-dir", type=Path, help="where the log is kept; without it, it goes with the process")
    options.add_argument("--people", type=Path, help="folder with contacts.csv and customers.csv: names for the inbox")
    options.add_argument("--timezone", default="UTC", help="the zone of the times shown")
    options.add_argument("--speed", type=float, default=1.0, help="the clock runs so many times faster …")
    options.add_argument("--epoch", type=_moment, help="… from this moment (RFC 3339)")
    options.add_argument("--account-sid", default=DEFAULT_ACCOUNT_SID)
    options.add_argument("--auth-token", default=os.environ.get("SANDBOX_AUTH_TOKEN", DEFAULT_AUTH_TOKEN))
    options.add_argument("--service-number", default="+18595550100", help="the sender of a Messaging Service")
    options.add_argument("--inbound-url", default="", help="where answers from phones are posted, signed")
    options.add_argument("--sent-after", type=float, default=0.3, help="seconds until the callback says sent")
    options.add_argument("--delivered-after", type=float, default=1.5, help="seconds until it says delivered")
    options.add_argument("--ready-file", type=Path, help="gets a line of JSON (ports, url, log) once all is up")
    options.add_argument("--ready-fd", type=int, help="the same, to an open descriptor")
    options.add_argument("--parent-pid", type=int, help="end when this process is gone")
    return options


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SandboxClock(epoch=options.epoch, speed=options.speed)
    sandbox = await start(_settings(options), clock=clock)
    try:
        _announce(sandbox, options)
        await _wait(stop, options.parent_pid)
    finally:
        await sandbox.close()
    return 0


def _settings(options: argparse.Namespace) -> SandboxSettings:
    return SandboxSettings(
        host=options.host,
        smtp_port=options.smtp_port,
        http_port=options.http_port,
        sms_port=options.sms_port,
        state_dir=options.state_dir,
        people=options.people,
        timezone=options.timezone,
        account_sid=options.account_sid,
        auth_token=options.auth_token,
        service_number=options.service_number,
        inbound_url=options.inbound_url,
        sent_after=options.sent_after,
        delivered_after=options.delivered_after,
    )


def _announce(sandbox: Sandbox, options: argparse.Namespace) -> None:
    ready = {
        "pid": os.getpid(),
        "smtp_port": sandbox.smtp_port,
        "http_port": sandbox.http_port,
        "sms_port": sandbox.sms_port,
        "url": sandbox.url,
        "sms_url": sandbox.sms_url,
        "log": str(sandbox.log_path),
    }
    line = json.dumps(ready) + "\n"
    if options.ready_file is not None:  # whoever polls for the file must never read half of it
        half = options.ready_file.with_name(options.ready_file.name + ".new")
        half.write_text(line, encoding="utf-8")
        half.replace(options.ready_file)
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "w") as pipe:
            pipe.write(line)
    print(f"inbox {sandbox.url}  SMTP {sandbox.settings.host}:{sandbox.smtp_port}", file=sys.stderr, flush=True)


async def _wait(stop: asyncio.Event, parent: int | None) -> None:
    while not stop.is_set():
        try:
            async with asyncio.timeout(0.5):
                await stop.wait()
        except TimeoutError:
            if parent is not None and not _alive(parent):
                return


def _alive(process: int) -> bool:
    """Whether it still runs; a parent that died has left us to another, even while it is a zombie."""
    if process == os.getppid():
        return True
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # not ours, or no /proc here: it exists
        return True
    return state not in ("Z", "X")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
