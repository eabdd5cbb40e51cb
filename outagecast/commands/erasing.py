"""`outagecast erase`: one person's data go, everywhere."""

from dataclasses import asdict

import click

from outagecast.app import Core
from outagecast.commands.options import Failed, config_option, json_option
from outagecast.commands.session import me, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json
from outagecast.engine.erasure import Erased
from outagecast.storage.scrubbing import scrub


@click.command("erase", short_help="Erase one person's data, everywhere.")
@click.option("--contact", metavar="ID", help="A contact, with the addresses that nobody else has.")
@click.option("--address", metavar="VALUE", help="A mail address or phone, with the contacts that have no other.")
@click.option("--never-again", is_flag=True, help="Nothing may go to it either, should somebody bring it in again.")
@click.option(
    "--scrub/--no-scrub", "rewrite", default=True, help="Rewrite the database's file, so that no bytes are left in it."
)
@config_option
@json_option
@click.pass_context
def erase(
    ctx: click.Context, contact: str | None, address: str | None, never_again: bool, rewrite: bool, as_json: bool
) -> None:
    """Erase names, addresses and words of one person; states and counts stay. There is no way back.

    An opt-out is kept as a keyed hash: the same address is known again when it comes in by an import. Backups made
    before, the providers' own records and the accounts of staff are not reached.
    """
    if (contact is None) == (address is None):
        raise Failed(["give --contact or --address, one of them"])

    async def act(core: Core) -> tuple[Erased, bool | None]:
        if contact is not None:
            done = await core.erasure.erase_contact(contact, actor=me(), never_again=never_again)
        else:
            done = await core.erasure.erase_address(address or "", actor=me(), never_again=never_again)
        return done, await scrubbed(core) if rewrite else False

    done, clean = run_with(read_config(ctx), act)
    if as_json:
        print_json(asdict(done) | {"scrubbed": clean})
        return
    print_facts(
        {
            "contacts erased": done.contacts,
            "addresses erased": done.addresses,
            "deliveries without words": done.deliveries,
            "other rows that held them": done.mentions,
            "suppressions kept": f"{done.suppressions}, as keyed hashes" if done.suppressions else None,
            "not erased": f"{done.shared} addresses that other contacts have too" if done.shared else None,
            "staff": f"{', '.join(done.staff)} have it as their own: change it on the desk" if done.staff else None,
            "file": _CLEAN if clean else _ON_SERVER if clean is None else _LEFT,
        }
    )


async def scrubbed(core: Core) -> bool | None:
    """Whether the file could be rewritten, and the log beside it emptied; None where the database is no file."""
    return None if core.db.path is None else await scrub(core.db.path)


_CLEAN = "rewritten: nothing is left in it"
_LEFT = "its free space may hold old bytes until it is used again (outagecast erase … --scrub rewrites it)"
_ON_SERVER = (
    "PostgreSQL's own: old bytes go when it uses their place again (VACUUM FULL at once), and stay in archived WAL and "
    "base backups for as long as you keep those"
)
