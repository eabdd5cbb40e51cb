"""Reports as pages, CSV and API: one outage, one month; charts that say in words what they show."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

from outagecast.domain.facts import to_micros
from outagecast.domain.outage import Role
from outagecast.web.desk import charts
from outagecast.web.month import Month
from outagecast.web.spreadsheet import csv_text, harmless
from tests.support.web_house import NOW, WebHouse, add_delivery, add_impacts, add_network, add_outage, add_revision

MINUTE = timedelta(minutes=1)
ONE = "OUT-2026-0001"


async def lived(house: WebHouse) -> None:
    """Declared at 09:14 in New York with an ETA, said once more, over after an hour; one promise kept, one broken."""
    await add_network(house.database)
    await add_outage(house.database, ONE, status="resolved", ended_at=NOW + 60 * MINUTE, revision=3, cause_code="fibre")
    facts = {"outage_id": ONE, "title": "Fibre cut"}
    first, second = (to_micros(NOW + minutes * MINUTE) for minutes in (40, 90))
    await add_revision(
        house.database, ONE, 1, "declare", "effective", facts=facts | {"eta": first},
        next_update_by=NOW + 30 * MINUTE,
    )  # fmt: skip
    await add_revision(
        house.database, ONE, 2, "update", "effective", facts=facts | {"eta": second},
        effective_at=NOW + 20 * MINUTE, next_update_by=NOW + 50 * MINUTE,
    )  # fmt: skip
    await add_revision(
        house.database, ONE, 3, "resolve", "effective", effective_at=NOW + 60 * MINUTE,
        facts=facts | {"ended_at": to_micros(NOW + 60 * MINUTE)},
    )  # fmt: skip
    await add_impacts(
        house.database, ONE, ("circuit", "CIR-1", "K-1", 3), ("circuit", "CIR-2", "K-1", 2),
        to_at=NOW + 60 * MINUTE,
    )  # fmt: skip
    at = {"transmitting_at": NOW + 2 * MINUTE}
    await add_delivery(house.database, 1, **at)
    await add_delivery(house.database, 2, channel="sms", address_id=2, to="+18595550123", state="delivered", **at)
    await add_delivery(
        house.database, 3, customer_id="K-2", contact_id="C-2", address_id=3, state="suppressed",
        reason="dead_address", to="gone@school.example",
    )  # fmt: skip
    await add_delivery(
        house.database, 4, revision=3, kind="resolution", channel="sms", address_id=2, to="+18595550123",
        transmitting_at=NOW + 61 * MINUTE,
    )  # fmt: skip
    for number in (2, 4):
        house.words[number] = {"text": "Bluegrass Fiber: " + "x" * 160}


async def text_of(house: WebHouse, path: str) -> str:
    """The page's words alone."""
    answer = await house.client.get(path)
    text = await answer.text()
    assert answer.status == 200, (path, text)
    main = text.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def table_of(house: WebHouse, path: str) -> list[dict[str, str]]:
    answer = await house.client.get(path)
    assert (answer.status, answer.content_type) == (200, "text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig"))))


async def test_the_page_of_one_outage(house: WebHouse) -> None:
    await lived(house)
    await house.sign_in(Role.VIEWER)
    text = await text_of(house, f"/desk/outages/{ONE}/report")
    assert "first word after 2 min, 1 promise kept, 1 broken, over 30 min before the last ETA" in text
    assert "10 min late" in text and "10 min early" in text
    assert "09:54 EST" in text and "20 min after it" in text  # the first ETA and how far it was off
    assert "60 customer minutes" in text  # both lines of K-1 at once count once
    assert "4 segments" in text and "0.03 USD" in text
    assert "1 dead address" in text and "gone@school.example" in text
    # The charts say in words what they show, and the numbers stand beside them.
    assert "At 09:14 EST we said 09:54 EST; at 09:34 EST we said 10:44 EST. It was over at 10:14 EST." in text
    assert "3 messages between" in text


async def test_the_csv_files_of_one_outage(house: WebHouse) -> None:
    await lived(house)
    await house.sign_in(Role.VIEWER)
    (line,) = await table_of(house, f"/desk/outages/{ONE}/report.csv")
    assert (line["declared_to_first_word_seconds"], line["promises_kept"], line["promises_broken"]) == ("120", "1", "1")
    assert (line["eta_error_seconds"], line["customer_minutes"]) == ("-1800", "60")
    words = await table_of(house, f"/desk/outages/{ONE}/words.csv")
    assert [(row["verb"], row["promise"], row["messages"]) for row in words] == [
        ("declare", "kept", "2"),
        ("update", "broken", "0"),
        ("resolve", "", "1"),
    ]
    (row,) = await table_of(house, f"/desk/outages/{ONE}/unreached.csv")
    assert (row["customer"], row["to"], row["why"]) == ("Bourbon County Schools", "gone@school.example", "dead_address")


async def test_the_page_and_csv_of_a_month(house: WebHouse) -> None:
    await lived(house)
    await house.sign_in(Role.VIEWER)
    assert "1 month to look back on" in await text_of(house, "/desk/reports")
    text = await text_of(house, "/desk/reports/2026-03")
    assert "March 2026: 1 outage; customers heard after 2 min; 1 promise kept, 1 broken." in text
    assert "1 promise was kept and 1 broken in March 2026." in text
    assert "3 1 0 1 60" in text  # the third of March: kept by the desk, by a holding notice, broken, minutes
    assert "no outage was declared" in await text_of(house, "/desk/reports/2026-02")
    (line,) = await table_of(house, "/desk/reports/2026-03.csv")
    assert (line["id"], line["email_left"], line["sms_left"], line["unsent"]) == (ONE, "1", "2", "1")
    (row,) = await table_of(house, "/desk/reports/2026-03/unreached.csv")
    assert row["customer_id"] == "K-2"
    assert (await house.client.get("/desk/reports/2026-13")).status == 422
    assert (await house.client.get("/desk/outages/OUT-2026-0404/report")).status == 404


async def test_an_empty_house_says_what_would_be_here(house: WebHouse) -> None:
    await house.sign_in(Role.VIEWER)
    assert "After the first declared outage" in await text_of(house, "/desk/reports")


async def test_reports_over_the_api(house: WebHouse) -> None:
    await lived(house)
    token = await house.bearer(Role.VIEWER)
    one = await (await house.client.get(f"/api/v1/outages/{ONE}/report", headers=token)).json()
    assert (one["declared_to_first_word_seconds"], one["started_to_first_word_seconds"]) == (120, 120)
    assert [each["state"] for each in one["promises"]] == ["kept", "broken"]
    assert [each["error_seconds"] for each in one["eta_list"]] == [1200, -1800]
    assert one["channels"][1]["cost"] == {"amount": 0.03, "currency": "USD"}
    assert one["unreached"][0]["to"] == "gone@school.example"
    month = await (await house.client.get("/api/v1/reports/2026-03", headers=token)).json()
    assert (month["promises_kept"], month["customer_minutes"], len(month["outages"])) == (1, 60, 1)
    wrong = await house.client.get("/api/v1/reports/March", headers=token)
    assert (wrong.status, (await wrong.json())["errors"][0]["field"]) == (422, "month")
    paths = (await (await house.client.get("/api/v1/openapi.json")).json())["paths"]
    assert {"/api/v1/outages/{id}/report", "/api/v1/reports/{month}"} <= paths.keys()


async def test_reports_are_for_those_signed_in(house: WebHouse) -> None:
    for path in ("/desk/reports", "/desk/reports/2026-03.csv", f"/desk/outages/{ONE}/unreached.csv"):
        answer = await house.client.get(path, allow_redirects=False)
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/desk/sign-in")
    assert (await house.client.get("/api/v1/reports/2026-03")).status == 401


def test_no_cell_is_run_as_a_formula() -> None:
    evil: list[Any] = ['=HYPERLINK("http://x")', "+1 859", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "plain", -5, None]
    (row,) = csv.reader(io.StringIO(csv_text(["a"] * 9, [evil]).partition("\r\n")[2], newline=""))
    assert all(cell.startswith("'") for cell in row[:6])
    assert row[6:] == ["plain", "-5", ""]
    assert harmless(datetime(2026, 3, 3, tzinfo=UTC)) == "2026-03-03T00:00:00Z"


def test_a_month_begins_and_ends_at_its_own_midnights() -> None:
    march = Month.read("2026-03", ZoneInfo("America/New_York"))
    assert (march.start, march.end) == (datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 4, 1, 4, tzinfo=UTC))
    assert (march.before.name, march.after.name, march.words) == ("2026-02", "2026-04", "March 2026")
    assert Month.read("2026-12", UTC).after.name == "2027-01"


def test_no_series_is_told_by_colour_alone_and_nothing_is_styled_inline() -> None:
    series = [charts.Series(key=key, name=f"<{key}>") for key in "abc"]
    found = [charts.Column(label=f"{n}", parts={"a": n, "b": 1, "c": 2}) for n in range(3)]
    svg = str(charts.columns("one", "A title", "It is <so>.", series, found))
    assert "url(#one-hatched)" in svg and "url(#one-dotted)" in svg
    assert 'role="img"' in svg and "<title" in svg and "<desc" in svg
    assert "style=" not in svg and "&lt;so&gt;" in svg and "&lt;a&gt;" in svg
    ids = re.findall(r'id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
