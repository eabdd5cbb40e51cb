"""Rehearsals over the API: a declaration and a script in, the whole outage as it would go out. Nothing is stored."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from outagecast.domain.errors import Conflict
from outagecast.domain.script import read_script
from outagecast.engine.rehearsal import Rehearsal, Rehearsed, Sample, Wave
from outagecast.web.api import bodies
from outagecast.web.api.bodies import check_body
from outagecast.web.api.outages import answer
from outagecast.web.api.reports import LineAnswer, PromiseAnswer, line_answer, promise_answer
from outagecast.web.reading import read_json
from outagecast.web.script_scopes import with_scopes
from outagecast.web.services import ACTOR, SERVICES

PATIENCE = timedelta(seconds=20)


class RehearseBody(bodies.DeclareBody):
    """A declaration, and what the desk would do then, one step a line: `+20m eta +2h`, `+3h resolve`."""

    script: str = Field(default="", max_length=10_000)


class WaveAnswer(TypedDict):
    """One word: `planned` by kind and channel, `unsent` by reason; `lost`: overtaken before they had left."""

    after_seconds: int
    verb: str
    planned: dict[str, dict[str, int]]
    unsent: dict[str, int]
    last_after_seconds: int | None
    quiet: int
    held_until: str | None
    lost: int


class SampleAnswer(TypedDict):
    after_seconds: int
    channel: str
    to: str
    kind: str
    subject: str
    text: str


class AskedAnswer(TypedDict):
    after_seconds: int
    what: str


class RehearsedAnswer(TypedDict):
    """`figures` as in the report of an outage that was. `stopped`: why it was not played to its end, "" if it was."""

    started_at: str
    figures: LineAnswer
    waves: list[WaveAnswer]
    promises: list[PromiseAnswer]
    staff_asked: list[AskedAnswer]
    last_phone_after_seconds: int | None
    unreached: int
    others_told: int
    held_because: str | None
    troubles: list[str]
    stopped: str
    samples: list[SampleAnswer]


class RehearsalAnswer(TypedDict):
    """`state`: running (look again at its address) or done; one that could not be played answers 409."""

    id: str
    state: str
    doing: str
    answer: RehearsedAnswer | None


async def rehearse(request: web.Request) -> web.Response:
    """Waits for a small one; 202 with its address for one that takes longer."""
    services = request.app[SERVICES]
    body = check_body(RehearseBody, (await read_json(request))[0])
    script = await with_scopes(services.database, read_script(body.script))
    found = await services.rehearsals.start(body.declaration(), script, actor=request[ACTOR])
    done = await services.rehearsals.wait(found, PATIENCE)
    return _answer(found, 200 if done else 202)


async def look(request: web.Request) -> web.Response:
    return _answer(request.app[SERVICES].rehearsals.get(request.match_info["id"]), 200)


def rehearsed_answer(played: Rehearsed) -> RehearsedAnswer:
    start = played.started_at
    return RehearsedAnswer(
        started_at=start.isoformat(),
        figures=line_answer(played.judged),
        waves=[_wave(wave, start) for wave in played.waves],
        promises=[promise_answer(each) for each in played.judged.promises],
        staff_asked=[AskedAnswer(after_seconds=_after(at, start), what=what) for at, what in played.asked],
        last_phone_after_seconds=_seconds(played.last_phone),
        unreached=played.unreached,
        others_told=played.others,
        held_because=played.held_because,
        troubles=[said for _, said in played.troubles],
        stopped=played.stopped,
        samples=[_sample(sample, start) for sample in played.samples],
    )


def _answer(found: Rehearsal, status: int) -> web.Response:
    if found.failed:
        raise Conflict(f"the rehearsal was not played to its end: {found.failed}")
    value: Any = RehearsalAnswer(
        id=found.id,
        state="done" if found.answer else "running",
        doing="" if found.answer else found.doing,
        answer=rehearsed_answer(found.answer) if found.answer else None,
    )
    return answer(value, status=status, headers={"Location": f"/api/v1/rehearsals/{found.id}"})


def _wave(wave: Wave, start: datetime) -> WaveAnswer:
    return WaveAnswer(
        after_seconds=_after(wave.word.at, start),
        verb=wave.word.verb,
        planned={kind: dict(by_channel) for kind, by_channel in wave.planned.items()},
        unsent=dict(wave.unsent),
        last_after_seconds=_seconds(wave.word.took),
        quiet=wave.quiet,
        held_until=wave.held_until.isoformat() if wave.held_until else None,
        lost=wave.lost,
    )


def _sample(sample: Sample, start: datetime) -> SampleAnswer:
    return SampleAnswer(
        after_seconds=_after(sample.at, start), channel=sample.channel, to=sample.to, kind=sample.kind,
        subject=sample.subject, text=sample.text,
    )  # fmt: skip


def _after(at: datetime, start: datetime) -> int:
    return int((at - start).total_seconds())


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())
