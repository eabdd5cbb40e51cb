"""A database that is locked, full, gone or failing over: whoever calls is told to come again."""

from sqlalchemy.exc import OperationalError

from tests.support.web_house import WebHouse


async def test_not_ready_is_said_in_words(house: WebHouse) -> None:
    async def away() -> list[str]:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    object.__setattr__(house.services, "ready", away)
    answer = await house.client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["missing"] == ["the database does not answer"]


async def test_a_call_is_to_be_made_again(house: WebHouse) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    object.__setattr__(house.services.operations, "declare", away)
    body = {"title": "down", "scope": {"elements": []}}
    answer = await house.client.post("/api/v1/outages", json=body, headers=await house.bearer())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "INSERT" not in await answer.text()
