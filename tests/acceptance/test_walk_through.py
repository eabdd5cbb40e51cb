"""The life of an outage as the README tells it, and every way back and brake, each in a few lines.

One small network, one daemon and one sandbox for all of them; each test has customers and elements of its own.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.arrivals import Arrival, arrivals
from tests.support.daemon import ApiClient, DaemonProcess, Refused, post_form, running, until
from tests.support.provider_from_topology import ProviderFiles

NEW_YORK = ZoneInfo("America/New_York")
PROMISE = timedelta(seconds=8)
STORIES = ("UNDO", "HOLD", "PASSING", "PAUSE", "STOP", "LEAVE", "NIGHT")
SLOW = "Next update:  as soon as we know more"
OWL = "+18592000099"
CONFIG = {
    "cadence": {"minor": {"update_every": "8s", "remind_before": "0s", "holding_notices": 2, "hold_slow": "1h"}},
    "safety": {"approve_above": 3},
    "staff_alerts": [{"email": "noc@bluegrass.example", "when": "escalation"}],
}


def _network() -> ProviderFiles:
    """Two POPs with a link between them, and an OLT for each story."""
    stories = ("LIBRARY", "PHARMACY", *STORIES, "NOBODY", "BIG")
    elements = [
        {"id": "POP-LEX", "kind": "pop", "gateway": "yes"},
        {"id": "POP-HAZ", "kind": "pop"},
        {"id": "L-LEX-HAZ", "kind": "link", "a": "POP-LEX", "z": "POP-HAZ"},
        *({"id": f"OLT-{story}", "kind": "olt", "depends_on": "POP-HAZ"} for story in stories),
    ]
    made = ProviderFiles(elements=elements)
    made.sites.append({"id": "HAZ", "name": "Hazard", "timezone": "America/New_York"})
    _customer(made, "LIB", "Hazard Public Library", "Ada Hale", {"Reading room": "LIBRARY"}, phone="+18592000001")
    clinic = {"Front desk": "LIBRARY", "Pharmacy": "PHARMACY"}
    _customer(made, "CLI", "Perry County Clinic", "Ben Ivy", clinic, phone="+18592000002")
    for story in STORIES:
        _customer(made, story, f"{story.title()} Ltd", f"Cleo {story}", {"Office": story}, phone=_phone(story))
    clock = datetime.now(NEW_YORK)
    night = f"{clock - timedelta(hours=1):%H:%M}-{clock + timedelta(hours=3):%H:%M}"
    made.contacts[-1] |= {"quiet_hours": night}
    awake = {"id": "CO-OWL", "customer_id": "CU-NIGHT", "name": "Dora", "phone": OWL, "quiet_hours": night}
    made.contacts.append(awake | {"wake_for": "outage"})
    _customer(made, "NOBODY", "Nobody & Sons", "", {"Shop": "NOBODY"})
    for number in range(1, 5):
        _customer(made, f"BIG{number}", f"Tenant {number}", f"Eve {number}", {"Flat": "BIG"})
    return made


def _phone(story: str) -> str:
    return f"+1859200001{STORIES.index(story)}"


def _customer(
    made: ProviderFiles, id: str, name: str, contact: str, circuits: dict[str, str], *, phone: str = ""
) -> None:
    """`circuits`: the OLT that each of them hangs on, by label."""
    made.customers.append({"id": f"CU-{id}", "name": name})
    if contact:
        email = f"{id.lower()}@customer.example"
        made.contacts.append(
            {"id": f"CO-{id}", "customer_id": f"CU-{id}", "name": contact, "email": email, "phone": phone}
        )
    for label, story in circuits.items():
        circuit = {"id": f"CI-{id}-{label}", "customer_id": f"CU-{id}", "label": label, "site": "HAZ"}
        made.circuits.append(circuit | {"depends_on": f"OLT-{story}"})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("house")
    with running(folder, config=CONFIG) as daemon:
        _network().write(folder / "data")
        daemon.command("import", str(folder / "data"))
        daemon.sandbox.set(inbound_url=f"{daemon.url}/callbacks/twilio/inbound")
        yield daemon


@pytest.fixture(scope="module")
def api(house: DaemonProcess) -> ApiClient:
    return house.api("operator")


def test_the_life_of_an_outage(house: DaemonProcess, api: ApiClient) -> None:
    """Declared, an ETA given and changed, promises kept by the daemon itself, restored in parts, resolved."""
    began = datetime.now(UTC) - timedelta(minutes=25)
    told = api.declare("Cut", _elements("OLT-LIBRARY", "OLT-PHARMACY"), severity="minor", started_at=_rfc(began))
    id = told["id"]
    library = _wait_for_mail(house, "lib", "acknowledgement", id)
    assert library.subject == f"OUTAGE: Reading room is down since {_clock(began)}. No estimate yet."
    assert "Hello Ada Hale," in library.text
    assert _promise(library) == _clock(_when(told["next_update_by"]))
    clinic = _wait_for_mail(house, "cli", "acknowledgement", id)
    assert clinic.subject == f"OUTAGE: 2 lines are down since {_clock(began)}. No estimate yet."
    assert "Front desk" in clinic.text
    assert "Pharmacy" in clinic.text
    [text] = _wait_for_texts(house, "+18592000001", 1)
    assert text.text.startswith("Bluegrass Fiber for Ada Hale: Reading room (Hazard) is down since")

    first, later = began + timedelta(hours=3), began + timedelta(hours=5)
    changed = api.verb(id, "updates", eta=_rfc(first), status="identified", message="A digger hit the cable.")
    assert _when(changed["next_update_by"]) > _when(told["next_update_by"])
    said = _wait_for_mail(house, "lib", "eta", id)
    assert (
        said.subject == f"OUTAGE: Reading room is still down (since {_clock(began)}). Expected back by {_clock(first)}."
    )
    assert "A digger hit the cable." in said.text
    api.verb(id, "updates", eta=_rfc(later))
    said = _wait_for_mail(house, "lib", "eta", id, count=2)
    assert f"Now expected back by {_clock(later)} (before: {_clock(first)})." in said.subject

    # Nobody at the desk says anything: the daemon keeps its word, twice, and then asks for help.
    ledger = _when(api.outage(id)["next_update_by"])
    holding = _wait_for_mail(house, "lib", "holding", id)
    assert "Nothing has changed since our last message." in holding.text
    until(
        lambda: any(SLOW in mail.text for mail in _mails(house, "lib")), "no clock time is promised any more", within=60
    )
    kept = [row for row in api.deliveries(id, channel="email") if row["kind"] == "holding" and row["promise"]]
    assert _when(kept[0]["created_at"]) <= ledger
    assert api.outage(id)["next_update_by"] is None
    until(lambda: house.sandbox.mails(to="noc@bluegrass.example"), "staff are called")

    word = api.verb(id, "updates", message="The splice is nearly done.")
    assert _when(word["next_update_by"]) - datetime.now(UTC) <= PROMISE
    _wait_for_mail(house, "lib", "update", id)
    mark = house.sandbox.mark()
    api.verb(id, "restore", scope=_elements("OLT-PHARMACY"), restored_at=_rfc(began + timedelta(minutes=15)))
    part = _wait_for_mail(house, "cli", "update", id, count=2)
    assert part.subject.startswith("OUTAGE: Front desk is still down")
    assert "Pharmacy, Hazard: back since" in part.text
    assert "down for 15 min" in part.text
    resolved = api.verb(id, "resolve", resolved_at=_rfc(began + timedelta(minutes=20)), cause="a digger")
    assert resolved["next_update_by"] is None
    end = _wait_for_mail(house, "lib", "resolution", id)
    assert end.subject == f"OK: Reading room is back since {_clock(began + timedelta(minutes=20))} after 20 min."
    assert _promise(end) == ""
    end = _wait_for_mail(house, "cli", "resolution", id)
    assert end.subject == f"OK: Front desk is back since {_clock(began + timedelta(minutes=20))} after 20 min."
    api.rest()
    of_library = [a.kind for a in arrivals(house.sandbox.mails(to="lib@customer.example", after=mark))]
    assert of_library.count("resolution") == 1
    assert "update" not in of_library, "the library's line was not restored with the pharmacy's"
    everything = arrivals(house.sandbox.mails(to="lib@customer.example"))
    assert len({arrival.thread for arrival in everything}) == 1


def test_what_is_undone_in_time_never_leaves(house: DaemonProcess, api: ApiClient) -> None:
    told = api.declare("Slip", _elements("OLT-UNDO"), undo_for="60s")
    assert told["state"] == "pending"
    assert api.verb(told["id"], "undo")["status"] == "draft"
    with pytest.raises(Refused) as refused:
        api.verb(told["id"], "undo")
    assert refused.value.status == 409

    # The same outage after all: its update is taken back, and what it said before stands.
    api.verb(told["id"], "release")
    _wait_for_mail(house, "undo", "acknowledgement", told["id"])
    api.rest()
    promise = api.outage(told["id"])["next_update_by"]
    api.verb(told["id"], "updates", message="This was meant for others.", undo_for="60s")
    api.verb(told["id"], "undo")
    assert api.outage(told["id"])["next_update_by"] == promise
    api.verb(told["id"], "resolve")
    _wait_for_mail(house, "undo", "resolution", told["id"])
    assert [a.kind for a in _mails(house, "undo")] == ["acknowledgement", "resolution"]
    assert not any("meant for others" in record["body"] for record in house.sandbox.texts(to=_phone("UNDO")))


def test_above_a_number_of_customers_a_second_person_releases(house: DaemonProcess, api: ApiClient) -> None:
    told = api.declare("Big", _elements("OLT-BIG"))
    assert (told["status"], told["held_because"]) == ("draft", "approve_above")
    with pytest.raises(Refused) as refused:
        api.verb(told["id"], "release")
    assert refused.value.status == 403
    assert not _mails(house, "big1")
    released = house.api("approver").verb(told["id"], "release")
    assert released["status"] == "investigating"
    for number in range(1, 5):
        _wait_for_mail(house, f"big{number}", "acknowledgement", told["id"])
    # The end of an outage is exempt from caps.
    assert api.verb(told["id"], "resolve")["status"] == "resolved"
    _wait_for_mail(house, "big4", "resolution", told["id"])


def test_hold_freezes_one_outage(house: DaemonProcess, api: ApiClient) -> None:
    id = api.declare("Held", _elements("OLT-HOLD"))["id"]
    _wait_for_mail(house, "hold", "acknowledgement", id)
    api.rest()
    api.verb(id, "hold", reason="the lawyers are reading")
    api.verb(id, "updates", message="First thoughts.")
    api.verb(id, "updates", message="Second thoughts.")
    # Another outage's message passes by, so the held ones were looked at and left where they are.
    other = api.declare("Passing", _elements("OLT-PASSING"))["id"]
    _wait_for_mail(house, "passing", "acknowledgement", other)
    assert api.outage(id)["hold"] == "the lawyers are reading"
    assert {kind: states["planned"] for kind, states in api.outage(id)["deliveries"].items()} == {"email": 1, "sms": 1}
    assert [a.kind for a in _mails(house, "hold")] == ["acknowledgement"]
    api.verb(id, "unhold")
    last = _wait_for_mail(house, "hold", "update", id)
    assert "Second thoughts." in last.text
    api.rest()
    assert [a.kind for a in _mails(house, "hold")] == ["acknowledgement", "update"]
    for each in (id, other):
        api.verb(each, "resolve")


def test_pause_stops_everything(house: DaemonProcess, api: ApiClient) -> None:
    api.call("POST", "/pause", {"reason": "the mail server is being moved"})
    id = api.declare("Paused", _elements("OLT-PAUSE"), undo_for="1s")["id"]
    until(lambda: api.outage(id)["deliveries"].get("email", {}).get("planned"), "the revision took effect")
    resumed = datetime.now(UTC)
    api.call("POST", "/resume", {})
    arrival = _wait_for_mail(house, "pause", "acknowledgement", id)
    assert _when(_record(house, arrival)["at"]) >= resumed
    [text] = _wait_for_texts(house, _phone("PAUSE"), 1)
    api.verb(id, "resolve")
    assert "Reply STOP" in text.text


def test_stop_by_phone_ends_the_texts(house: DaemonProcess, api: ApiClient) -> None:
    id = api.declare("Stopped", _elements("OLT-STOP"))["id"]
    _wait_for_texts(house, _phone("STOP"), 1)
    house.sandbox.answer(_phone("STOP"), "STOP")
    api.verb(id, "updates", message="Still at it.")
    _wait_for_mail(house, "stop", "update", id)
    api.verb(id, "resolve")
    _wait_for_mail(house, "stop", "resolution", id)
    api.rest()
    assert len(house.sandbox.texts(to=_phone("STOP"))) == 1
    later = [row for row in api.deliveries(id, channel="sms") if row["kind"] != "acknowledgement"]
    assert {(row["state"], row["reason"]) for row in later} == {("suppressed", "opted_out")}


def test_one_click_ends_the_mails(house: DaemonProcess, api: ApiClient) -> None:
    id = api.declare("Left", _elements("OLT-LEAVE"))["id"]
    mail = _wait_for_mail(house, "leave", "acknowledgement", id)
    [link] = re.findall(r"<(http[^>]+)>", mail.headers["list-unsubscribe"])
    assert post_form(link, {"List-Unsubscribe": "One-Click"}) == 200
    api.verb(id, "updates", message="Still at it.")
    _wait_for_texts(house, _phone("LEAVE"), 2)
    api.verb(id, "resolve")
    _wait_for_texts(house, _phone("LEAVE"), 3)
    api.rest()
    assert [a.kind for a in _mails(house, "leave")] == ["acknowledgement"]
    later = [row for row in api.deliveries(id, channel="email") if row["kind"] != "acknowledgement"]
    assert {(row["state"], row["reason"]) for row in later} == {("suppressed", "opted_out")}


def test_quiet_hours_hold_a_text_until_the_morning(house: DaemonProcess, api: ApiClient) -> None:
    id = api.declare("Night", _elements("OLT-NIGHT"))["id"]
    _wait_for_mail(house, "night", "acknowledgement", id)
    _wait_for_texts(house, OWL, 1)  # who wants to be woken by an outage is
    api.rest(waiting=1)
    api.verb(id, "updates", message="Half way.")
    _wait_for_texts(house, OWL, 2)
    api.rest(waiting=1)
    waiting = api.deliveries(id, channel="sms", state="planned")
    assert [(row["to"], row["kind"]) for row in waiting] == [(_phone("NIGHT"), "acknowledgement")]
    due = _when(waiting[0]["due_at"])
    assert timedelta(hours=2, minutes=50) < due - datetime.now(UTC) <= timedelta(hours=3)
    assert "Half way." in waiting[0]["words"]["text"], "it is said in its latest form"
    api.verb(id, "resolve")
    _wait_for_mail(house, "night", "resolution", id)
    assert not house.sandbox.texts(to=_phone("NIGHT"))
    ends = api.deliveries(id, channel="sms", state="planned")
    assert ("resolution", _phone("NIGHT")) in [(row["kind"], row["to"]) for row in ends]


def test_who_has_no_address_is_on_record(house: DaemonProcess, api: ApiClient) -> None:
    scope = _elements("OLT-NOBODY")
    preview = api.call("POST", "/preview", {"title": "Alone", "scope": scope})
    assert preview["unreachable_count"] == 1
    assert [each["customer_id"] for each in preview["unreachable"]] == ["CU-NOBODY"]
    told = api.declare("Alone", scope)
    assert told["impact"]["customers"] == 1
    rows = api.deliveries(told["id"])
    assert {(row["customer_id"], row["state"], row["reason"], row["to"]) for row in rows} == {
        ("CU-NOBODY", "suppressed", "no_address", "")
    }
    api.verb(told["id"], "resolve")


# --- looking ---


def _elements(*ids: str) -> dict[str, list[str]]:
    return {"elements": list(ids)}


def _mails(house: DaemonProcess, who: str) -> list[Arrival]:
    return arrivals(house.sandbox.mails(to=f"{who}@customer.example"))


def _wait_for_mail(house: DaemonProcess, who: str, kind: str, outage: str, *, count: int = 1) -> Arrival:
    """The mail of this kind about this outage that came as the `count`-th."""

    def found() -> list[Arrival]:
        return [a for a in _mails(house, who) if (a.kind, a.outage) == (kind, outage)][count - 1 :]

    return until(found, f"{kind} number {count} to {who}", within=30)[0]


def _wait_for_texts(house: DaemonProcess, phone: str, count: int) -> list[Arrival]:
    until(lambda: len(house.sandbox.texts(to=phone)) >= count, f"{count} texts to {phone}", within=30)
    return arrivals(house.sandbox.texts(to=phone))


def _record(house: DaemonProcess, arrival: Arrival) -> dict[str, Any]:
    """The sandbox's record of a mail."""
    wanted = arrival.headers["message-id"]
    return next(r for r in house.sandbox.mails(to=arrival.address.value) if r["headers"]["message-id"] == wanted)


def _promise(mail: Arrival) -> str:
    found = re.search(r"^Next update: +by (.+)$", mail.text, re.MULTILINE)
    return found[1] if found else ""


def _clock(at: datetime) -> str:
    """As a reader of today sees it; other days carry their date."""
    here, today = at.astimezone(NEW_YORK), datetime.now(NEW_YORK)
    clock = f"{here:%H:%M %Z}"
    return clock if here.date() == today.date() else f"{clock} on {here:%a} {here.day} {here:%b}"


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _rfc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
