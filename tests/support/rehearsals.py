"""Real rehearsals on a test's own database, without a daemon around them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from outagecast.config import parse_config
from outagecast.engine.links import Links
from outagecast.engine.rehearsal import Rehearsals
from outagecast.parts import make_house, make_words
from outagecast.storage.engine import Database

SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://status.example.net"
timezone = "America/New_York"
[email]
host = "127.0.0.1"
from = "Bluegrass Fiber <status@example.net>"
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "an-opaque-token"
from = "+18595550100"
"""


def make_rehearsals(
    database: Database, links: Links, *, clock: Callable[[], datetime], new_id: Callable[[], str]
) -> Rehearsals:
    config = parse_config(SETTINGS, name="config.toml", folder=Path("/"), environ={})
    house = make_house(config, database, clock, 1.0)
    return Rehearsals(house, make_words(config, links, clock), new_id=new_id, price=(0.0079, "USD"))
