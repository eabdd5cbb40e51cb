"""The command `outagecast`: its subcommands by name, imported when they are asked for."""

import click

from outagecast import __version__
from outagecast.commands.lazy import LazyGroup
from outagecast.commands.options import config_option

_ROOM = "outagecast.commands"
COMMANDS = {
    "serve": (f"{_ROOM}.serve:serve", "Run the daemon: desk, API, hooks, and the messages."),
    "demo": (f"{_ROOM}.demo:demo", "The whole product on a sample provider, no account anywhere."),
    "check-config": (f"{_ROOM}.check_config:check_config", "Every mistake of a settings file at once."),
    "import": (f"{_ROOM}.importing:import_files", "Bring sites, elements, customers … in from CSV files."),
    "export": (f"{_ROOM}.exporting:export", "Write the inventory and what happened as CSV files."),
    "impact": (f"{_ROOM}.declaring:impact", "Who would be touched, and why."),
    "preview": (f"{_ROOM}.declaring:preview", "Who would hear what; nothing is stored."),
    "declare": (f"{_ROOM}.declaring:declare", "Declare an outage."),
    "rehearse": (f"{_ROOM}.rehearsing:rehearse", "Play a whole outage with sending off."),
    "report": (f"{_ROOM}.reporting:report", "An outage, or a month, in figures."),
    "outages": (f"{_ROOM}.listing:outages", "The outages that are open."),
    "update": (f"{_ROOM}.changing:update", "Say something new about an outage, or change its scope."),
    "restore": (f"{_ROOM}.changing:restore", "Part of an outage is back."),
    "resolve": (f"{_ROOM}.changing:resolve", "An outage is over."),
    "retract": (f"{_ROOM}.changing:retract", "It never was."),
    "reopen": (f"{_ROOM}.changing:reopen", "What was resolved is down again."),
    "merge": (f"{_ROOM}.changing:merge", "An outage is part of another one."),
    "release": (f"{_ROOM}.changing:release", "Let a draft, or what a brake held, take effect."),
    "undo": (f"{_ROOM}.changing:undo", "Take back what has not taken effect yet."),
    "hold": (f"{_ROOM}.changing:hold", "Freeze one outage's unsent messages."),
    "unhold": (f"{_ROOM}.changing:unhold", "Let them go again."),
    "pause": (f"{_ROOM}.changing:pause", "Stop all sending."),
    "resume": (f"{_ROOM}.changing:resume", "Send again."),
    "deliveries": (f"{_ROOM}.messages:deliveries", "Who was told what, with what outcome."),
    "retry": (f"{_ROOM}.messages:retry", "Try again what did not arrive."),
    "resend": (f"{_ROOM}.messages:resend", "Say once more what was said."),
    "handled": (f"{_ROOM}.messages:handled", "It did not arrive, and the customer was told by other means."),
    "confirm": (f"{_ROOM}.messages:confirm", "Many customers share this address, and that is right."),
    "note": (f"{_ROOM}.messages:note", "A line for colleagues; it never leaves the house."),
    "owner": (f"{_ROOM}.messages:owner", "Who answers for an outage."),
    "user": (f"{_ROOM}.people:user", "Staff who sign in to the desk: add, invite, list, disable."),
    "token": (f"{_ROOM}.people:token", "Tokens of programs: add, list, revoke."),
    "db": (f"{_ROOM}.database:db", "The database: upgrade, check, copy."),
    "verify": (f"{_ROOM}.database:verify", "Recount what must always hold; says what broke."),
    "backup": (f"{_ROOM}.backup:backup", "Copy the database while it is in use."),
    "restored": (f"{_ROOM}.backup:restored", "After an older database was put back: see, hold, release."),
    "erase": (f"{_ROOM}.erasing:erase", "Erase one person's data, everywhere."),
    "doctor": (f"{_ROOM}.doctor:doctor", "Try everything the daemon needs; says what to mend."),
    "sandbox": (f"{_ROOM}.sandbox:sandbox", "A mail server and an SMS gateway for trying things out."),
}  # fmt: skip


@click.group(
    cls=LazyGroup, lazy=COMMANDS, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@config_option
@click.version_option(__version__, prog_name="outagecast")
def main() -> None:
    """Tells a network provider's customers about an outage: exactly those affected, when promised, once."""
