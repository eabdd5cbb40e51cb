"""`outagecast check-config`: every mistake of a settings file at once."""

from pathlib import Path

import click

from outagecast.commands.options import FAILED, Failed, config_option, json_option
from outagecast.commands.settings import find_config, read_config_at
from outagecast.commands.shown import print_json


@click.command("check-config", short_help="Every mistake of a settings file at once.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config_option
@json_option
@click.pass_context
def check_config(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Read FILE (left out: what the other commands would read) and list every mistake with its line and mend.

    Exit code 1 when there is any. Warnings forbid nothing.
    """
    path = file or find_config(ctx)
    try:
        config = read_config_at(path, code=FAILED)
    except Failed as failed:
        if not as_json:
            raise
        print_json({"ok": False, "mistakes": failed.lines, "warnings": []})
        raise SystemExit(FAILED) from None
    if as_json:
        print_json({"ok": True, "mistakes": [], "warnings": list(config.warnings)})
        return
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("ok")
