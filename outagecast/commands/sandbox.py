"""`outagecast sandbox`: hands over to the sandbox's own command line."""

import click

from outagecast.sandbox.__main__ import main


@click.command(
    "sandbox",
    short_help="A mail server and an SMS gateway for trying things out.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def sandbox(words: tuple[str, ...]) -> None:
    """A mail server and an SMS gateway for trying things out, with an inbox page; `--help` lists its options."""
    raise SystemExit(main(words))
