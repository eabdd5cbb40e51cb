"""The options that many commands share, and how a command says that it failed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_CONFIG = "outagecast.config"
BAD_INPUT = 2
FAILED = 1
SCOPE_OPTIONS = ("element", "circuit", "service", "site", "area", "customer")


class Failed(click.ClickException):
    """Ends the command: one clear line for each mistake on stderr, and the exit code."""

    def __init__(self, lines: Sequence[str], code: int = BAD_INPUT) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)
        self.code = code

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.lines:
            click.echo(line, err=True, file=file)


def config_option(command: F) -> F:
    """`--config`, before or after the subcommand; the one nearest to the subcommand wins."""

    def remember(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.find_root().meta[_CONFIG] = value

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=remember,
        help="The settings file; left out: ./config.toml, then $OUTAGECAST_CONFIG.",
    )(command)


def given_config(ctx: click.Context) -> Path | None:
    """What `--config` named, if it did."""
    path: Path | None = ctx.find_root().meta.get(_CONFIG)
    return path


json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document instead of a table."
)


def scope_options(prefix: str = "", *, what: str = "down") -> Callable[[F], F]:
    """`--element ID` and its siblings, each as often as needed; with a prefix `--add-element` …"""

    def add(command: F) -> F:
        for kind in reversed(SCOPE_OPTIONS):
            command = click.option(
                f"--{prefix}{kind}",
                multiple=True,
                metavar="ID",
                help=f"{_ARTICLES[kind]} that is {what}; may be repeated.",
            )(command)
        return command

    return add


def scope_of(given: dict[str, Any], prefix: str = "") -> dict[str, tuple[str, ...]]:
    """The scope options taken out of what a command was given, as the API's bodies hold a scope."""
    scope = {f"{kind}s": given.pop(f"{prefix}{kind}") for kind in SCOPE_OPTIONS}
    return {kind: ids for kind, ids in scope.items() if ids}


_ARTICLES = {
    "element": "An element of the network (POP, node, link …)",
    "circuit": "A circuit",
    "service": "A service",
    "site": "A site with all that stands there",
    "area": "An area with all its sites",
    "customer": "A customer with all circuits",
}
