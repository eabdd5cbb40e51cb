"""Importing a command when it is asked for: the daemon's libraries take two seconds, and `--help` must not."""

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NoReturn

import click

from outagecast.commands.options import Failed


def load(place: str) -> Any:
    """The object at `module:name`."""
    module, _, name = place.partition(":")
    # What an import makes stays: looking for garbage among it would take a tenth of the time.
    gc.disable()
    try:
        return getattr(import_module(module), name)
    finally:
        gc.enable()


class LazyGroup(click.Group):
    """A group that knows its commands by `{name: (place, what it does)}`; errors are one line each on stderr."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        found: click.Command = load(self.lazy[cmd_name][0])
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in self.lazy.items()])

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: str | None = None, **more: Any
    ) -> NoReturn:
        """Run, and exit with the command's code. click's own way prints three lines for one mistake."""
        more.pop("standalone_mode", None)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **more)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            code = 2
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else prog_name or "outagecast"
            click.echo(f"{where}: {_one_line(error)} (see {where} --help)", err=True)
            code = 2
        except Failed as error:
            error.show()
            code = error.code
        except click.ClickException as error:
            click.echo(f"outagecast: {_one_line(error)}", err=True)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("stopped", err=True)
            code = 130
        raise SystemExit(code if isinstance(code, int) else 0)


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    return text[:1].lower() + text[1:].rstrip(".")
