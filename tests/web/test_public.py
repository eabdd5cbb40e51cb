"""What everybody may see."""

from datetime import timedelta

from outagecast.domain.outage import Role
from tests.support.web_house import NOW, WebHouse, add_impacts, add_network, add_outage, add_revision


async def text_of(house: WebHouse, path: str) -> str:
    answer = await house.client.get(path)
    assert answer.status == 200, path
    return await answer.text()


async def test_a_quiet_day(house: WebHouse) -> None:
    await add_network(house.database)
    text = await text_of(house, "/")
    assert "No known outages." in text
    assert "Fiber Internet" in text
    assert "Dark Fiber" not in text


async def test_the_page_opens_with_the_sentence_its_reader_came_for(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(
        house.database, "OUT-2026-0001", next_update_by=NOW + timedelta(minutes=30), eta=NOW + timedelta(hours=2)
    )
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3))
    text = await text_of(house, "/")
    heading = text.partition("<h1>")[2].partition("</h1>")[0]
    assert heading.startswith("Fiber Internet is down for part of Fayette since ")
    assert "09:14 EST" in heading
    assert "09:44 EST" in text
    assert "11:14 EST" in text
    assert "in 30 min" in text
    for private in ("Acme", "Main Office", "CIR-1", "POP-LEX"):
        assert private not in text


async def test_a_service_that_is_down_everywhere_is_down(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001")
    await add_impacts(
        house.database,
        "OUT-2026-0001",
        ("circuit", "CIR-1", "K-1", 3),
        ("circuit", "CIR-3", "K-2", 3),
        ("circuit", "CIR-4", "K-2", 3),
    )
    assert "<h1>Fiber Internet is down since" in await text_of(house, "/")


async def test_a_named_service_counts_even_without_a_line(house: WebHouse) -> None:
    await add_network(house.database)
    scope = [{"kind": "service", "id": "voice", "effect": "degraded"}]
    await add_outage(house.database, "OUT-2026-0001", scope=scope)
    assert "<h1>Voice is degraded since" in await text_of(house, "/")


async def test_what_was_restored_is_not_down_any_more_but_stays_in_the_history(house: WebHouse) -> None:
    await add_network(house.database)
    scope, back = [{"kind": "service", "id": "fiber", "effect": "outage"}], [{"kind": "service", "id": "voice"}]
    await add_outage(house.database, "OUT-2026-0001", scope=scope, restored=back)
    heading = (await text_of(house, "/")).partition("<h1>")[2].partition("</h1>")[0]
    assert heading.startswith("Fiber Internet is down since")
    assert "Voice" not in heading
    await add_outage(
        house.database, "OUT-2026-0002", scope=scope, restored=back, status="resolved", ended_at=NOW, title="Past"
    )
    assert "Voice" in (await text_of(house, "/history"))


async def test_nothing_shows_before_it_is_effective_or_without_a_public_service(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001", public=False)
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3))
    await add_outage(house.database, "OUT-2026-0002")
    await add_impacts(house.database, "OUT-2026-0002", ("circuit", "CIR-2", "K-1", 3))
    await add_outage(house.database, "OUT-2026-0003", status="draft", public=False)
    assert "No known outages." in await text_of(house, "/")
    for outage_id in ("OUT-2026-0001", "OUT-2026-0002", "OUT-2026-0003", "OUT-2026-0009"):
        assert (await house.client.get(f"/outages/{outage_id}")).status == 404


async def test_one_outage_with_what_was_said(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001", cause="A backhoe")
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3))
    await add_revision(house.database, "OUT-2026-0001", 1, "declare", "effective", message="We are <b>on it</b>.")
    await add_revision(house.database, "OUT-2026-0001", 2, "update", "pending", message="Not yet to be read")
    await add_revision(house.database, "OUT-2026-0001", 3, "update", "undone", message="Never said")
    text = await text_of(house, "/outages/OUT-2026-0001")
    assert "We are &lt;b&gt;on it&lt;/b&gt;." in text
    assert "A backhoe" in text
    assert "Not yet to be read" not in text
    assert "Never said" not in text


async def test_history_and_the_end(house: WebHouse) -> None:
    await add_network(house.database)
    began, ended = NOW - timedelta(hours=3), NOW - timedelta(minutes=48)
    await add_outage(house.database, "OUT-2026-0001", status="resolved", started_at=began, ended_at=ended)
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3), from_at=began, to_at=ended)
    await add_outage(
        house.database, "OUT-2025-0002", title="Long ago", status="resolved", ended_at=NOW - timedelta(days=91)
    )
    text = await text_of(house, "/history")
    assert "1 outage in the last 90 days" in text
    assert "2 h 12 min" in text
    assert "Long ago" not in text
    assert "It lasted 2 h 12 min" in await text_of(house, "/outages/OUT-2026-0001")
    assert "No known outages." in await text_of(house, "/")


async def test_readiness_names_what_is_missing(house: WebHouse) -> None:
    assert (await house.client.get("/healthz")).status == 200
    assert await (await house.client.get("/readyz")).json() == {"ready": True, "missing": [], "held": ""}
    house.missing.append("the dispatcher does not run")
    answer = await house.client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["missing"] == ["the dispatcher does not run"]
    metrics = await house.client.get("/metrics")
    assert metrics.content_type == "text/plain"


async def test_errors_for_people_are_pages(house: WebHouse) -> None:
    answer = await house.client.get("/outages/<script>", headers={"Accept": "text/html"})
    text = await answer.text()
    assert answer.status == 404
    assert answer.content_type == "text/html"
    assert "<script>" not in text
    await house.sign_in(Role.VIEWER)
    answer = await house.client.get("/desk/declare")
    assert answer.status == 403
    assert "this needs operator" in await answer.text()
