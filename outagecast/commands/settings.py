"""Which settings file a command reads, and its mistakes as lines."""

import os
from pathlib import Path

import click

from outagecast.commands.options import BAD_INPUT, Failed, given_config
from outagecast.config import Config, ConfigErrors, load_config

USUAL = Path("config.toml")
VARIABLE = "OUTAGECAST_CONFIG"


def find_config(ctx: click.Context) -> Path:
    """`--config`, else ./config.toml, else $OUTAGECAST_CONFIG; Failed when there is none of them."""
    given = given_config(ctx)
    if given is not None:
        return given
    if USUAL.exists():
        return USUAL
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    raise Failed([f"there is no ./config.toml: name one with --config FILE or ${VARIABLE} (see config.example.toml)"])


def read_config(ctx: click.Context, *, code: int = BAD_INPUT) -> Config:
    """The settings; Failed with every mistake in them."""
    return read_config_at(find_config(ctx), code=code)


def read_config_at(path: Path, *, code: int = BAD_INPUT) -> Config:
    """The settings of one file; Failed with every mistake in them."""
    try:
        return load_config(path, environ=os.environ)
    except ConfigErrors as error:
        raise Failed(error.lines, code) from None
