"""`outagecast demo`: the sandbox starts first, and while it does, the daemon's libraries load."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from outagecast.commands.lazy import load
from outagecast.commands.options import FAILED, Failed, config_option, json_option
from outagecast.demo import DemoRefused, SandboxProcess, clear, free_port, own, prepare_files, usual_folder

_DAEMON = "outagecast.commands.demo_daemon:run_demo"


@click.command("demo", short_help="The whole product on a sample provider, no account anywhere.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.01, max=3600),
    default=1.0,
    metavar="N",
    help="The clock runs N times faster: with 60 half an hour passes in half a minute.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The desk's port; 0: any.  [default: 8080, or the next free one]"
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where the demo keeps its files.")
@click.option("--keep", is_flag=True, help="Go on where the last demo ended, instead of starting fresh.")
@click.option("--reset", is_flag=True, help="Make the sample provider, password and token anew as well.")
@config_option
@json_option
def demo(speed: float, port: int | None, folder: Path | None, keep: bool, reset: bool, as_json: bool) -> None:
    """Run everything on an invented provider: desk, status page, and every customer's mailbox and phone.

    Messages go to a sandbox on this machine, and nowhere else. Ctrl-C ends it all.
    """
    if keep and reset:
        raise Failed(["--keep: stands against --reset: give one of them"])
    folder = (folder or usual_folder(os.environ)).absolute()
    try:
        with own(folder), contextlib.ExitStack() as stack:
            if not keep:
                clear(folder, sample_too=reset)
            sample = prepare_files(folder)
            port = free_port(port)
            epoch = datetime.now(UTC)
            sandbox = SandboxProcess(folder, sample, port=port, speed=speed, epoch=epoch)
            stack.callback(sandbox.stop)
            load(_DAEMON)(folder, sample, sandbox, port=port, speed=speed, epoch=epoch, as_json=as_json)
    except DemoRefused as error:
        raise Failed([str(error)], FAILED) from None
    except OSError as error:
        raise Failed([f"{error.filename or folder}: {error.strerror or error}"], FAILED) from None
