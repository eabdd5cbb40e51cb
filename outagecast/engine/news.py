"""What a planned change means to each customer, whatever messages it stands in. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import Line
from outagecast.domain.levels import Level
from outagecast.domain.notices import ThingKey
from outagecast.engine.planned import PlannedRow


class News(StrEnum):
    """What is new for a customer, as a whole."""

    NEWLY = "newly"
    """Told for the first time that something of his is in trouble."""
    WORSE = "worse"
    BACK = "back"
    FREE = "free"
    """Told that he never was affected."""
    PART = "part"
    """Some of his lines are back or free, others are still down."""
    BETTER = "better"
    PASSED = "passed"
    """Another outage keeps his lines down, and speaks of them from now on."""
    WORD = "word"
    """Nothing is new about his lines: he hears the message, or the estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What is new for one customer, and the labels of what it is about."""

    news: News
    lines: tuple[str, ...]


def heard(outage_id: str, planned: Sequence[PlannedRow]) -> dict[str, Heard]:
    """What every customer hears, whatever messages it stands in."""
    news: dict[str, set[News]] = {}
    labels: dict[str, set[str]] = {}
    for row in planned:
        if row.values["state"] != DeliveryState.PLANNED.value:
            continue
        for customer in row.customers:
            news.setdefault(customer, set())
        for line in row.utterance.lines:
            said = _of_line(line)
            other = row.outage_id != outage_id and said not in (News.BACK, News.FREE)
            news[line.customer_id].add(News.PASSED if other else said)
            labels.setdefault(line.customer_id, set()).add(line.label)
    return {c: Heard(news=_whole(said), lines=tuple(sorted(labels.get(c, ())))) for c, said in news.items()}


def _of_line(line: Line) -> News:
    if line.level is Level.NO_IMPACT:
        return News.FREE if line.back_at is None else News.BACK
    if line.was is None:
        return News.NEWLY
    return News.WORSE if line.level > line.was else News.BETTER if line.level < line.was else News.WORD


def _whole(said: set[News]) -> News:
    """Who hears of it at one address and knows of it at another is not told for the first time."""
    up = said & {News.BACK, News.FREE}
    rest = (said - up - {News.NEWLY}) or said - up
    if up:
        return News.PART if rest else News.BACK if News.BACK in up else News.FREE
    return next((each for each in News if each in rest), News.WORD)


def reckoned_news(fresh: set[ThingKey], gone: set[ThingKey], *, never: bool) -> dict[str, Heard]:
    """Too many to plan for a look: customers by what happens to their lines."""
    found = {key.customer_id: Heard(news=News.FREE if never else News.BACK, lines=()) for key in gone}
    return found | {key.customer_id: Heard(news=News.NEWLY, lines=()) for key in fresh}
