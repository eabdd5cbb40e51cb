"""What is made of the settings: the routes in their order, and callbacks of every account."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from twilio.request_validator import RequestValidator

from outagecast.channels.email import EmailChannel
from outagecast.config import Config, parse_config
from outagecast.domain.message import ChannelName
from outagecast.engine.alerts import Alerts
from outagecast.parts import make_house, make_reconcilers, make_routes, make_twilio
from outagecast.storage.engine import Database
from tests.test_config import ROUTES, SMALLEST

URL = "https://status.example.net/callbacks/twilio/status?attempt=k"
SIDS = [f"AC{n:032d}" for n in range(3)]


def config(text: str = ROUTES) -> Config:
    return parse_config(text, name="config.toml", folder=Path("/nowhere"), environ={})


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return Database.open("sqlite:///parts.db", folder=tmp_path)


def clock() -> datetime:
    return datetime(2026, 3, 3, tzinfo=UTC)


async def test_the_routes_in_their_order_and_the_staffs_apart(db: Database) -> None:
    found = config()
    routes = make_routes(found, make_house(found, db, clock, 1.0))
    assert [(route.channel.value, route.place, route.name) for route in routes] == [
        ("email", -1, "staff"), ("email", 0, "main"), ("email", 1, "backup"), ("email", 2, "last"),
        ("sms", -1, "staff"), ("sms", 0, "main"), ("sms", 1, "backup"),
    ]  # fmt: skip
    mails = [route.carrier for route in routes if isinstance(route.carrier, EmailChannel)]
    assert [mail.writer.sender.address for mail in mails] == ["status@example.net"] * 3 + ["noc@example.org"]
    assert set(make_reconcilers(routes)) == {ChannelName.SMS}
    for route in routes:
        await route.carrier.close()
    await db.close()


async def test_a_channel_for_the_staff_alone_tells_no_customer(db: Database) -> None:
    text = SMALLEST + '[staff_route.email]\nhost = "m.example"\nfrom = "noc@example.net"\n'
    house = make_house(config(text), db, clock, 1.0)
    assert house.channels == () and house.staff_only == (ChannelName.EMAIL,)
    assert Alerts(replace(house)) is not None
    await db.close()


def test_a_callback_is_held_against_the_token_of_its_own_account() -> None:
    twilio = make_twilio(config())
    assert twilio is not None
    for sid, token in zip(SIDS, "tuv", strict=True):
        form = {"AccountSid": sid, "MessageSid": "SM1", "MessageStatus": "delivered"}
        signed = RequestValidator(token).compute_signature(URL, form)
        assert twilio.verify(URL, form, signed)
        for other in SIDS:
            if other != sid:
                assert not twilio.verify(URL, form | {"AccountSid": other}, signed)
        assert not twilio.verify(URL, form, RequestValidator("w").compute_signature(URL, form))
        assert not twilio.verify(URL, form, None)
    stranger = {"AccountSid": "AC9", "MessageSid": "SM1"}
    assert not twilio.verify(URL, stranger, RequestValidator("t").compute_signature(URL, stranger))
    assert make_twilio(config(SMALLEST)) is None
