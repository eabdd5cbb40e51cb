"""What must hold whatever happens: outages that overlap, start and end in any order, messages that leave or do not."""

from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.domain.levels import Level
from outagecast.domain.notices import NoticeKind, NoticeReason, Role, ThingKey
from outagecast.domain.outage import Verb
from tests.support.told_model import START, THINGS, Parts, Row, Told, ToldModel

WANTS = {
    "all": frozenset({Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY}),
    "usual": frozenset({Level.OUTAGE, Level.DEGRADED}),
    "worst": frozenset({Level.OUTAGE}),
    "odd": frozenset({Level.DEGRADED}),
    "none": frozenset[Level](),
}
UPWARD = {name: wants for name, wants in WANTS.items() if name != "odd"}
"""Who hears of a level hears of every worse one."""
LEVELS = st.sampled_from([Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY])
PARTS = st.dictionaries(st.sampled_from("abc"), LEVELS, min_size=1, max_size=3)
ETAS = st.sampled_from([None, START + timedelta(hours=5), START + timedelta(hours=9), START - timedelta(hours=1)])
OUTAGES = ("O1", "O2", "O3", "O4")


@st.composite
def plays(draw: st.DrawFn, *, all_leave: bool = False) -> ToldModel:
    """A model in which a random story was played, every law that holds at each step checked on the way."""
    model = ToldModel(WANTS, combine_late=draw(st.booleans()))
    for _ in range(draw(st.integers(1, 14))):
        said = _step(draw, model)
        if said is not None:
            check_step(model, said)
        if all_leave:
            model.leave()
        else:
            gone = draw(st.sets(st.sampled_from(sorted(WANTS))))
            if gone:
                model.leave(*gone)
    return model


def _step(draw: st.DrawFn, model: ToldModel) -> list[Told] | None:
    name = draw(st.sampled_from(OUTAGES))
    outage = model.outages.get(name)
    if outage is None:
        return model.declare(name, draw(PARTS), draw(ETAS))
    if not outage.open:
        return model.reopen(name, draw(PARTS)) if draw(st.booleans()) else None
    match draw(st.sampled_from(["resolve", "resolve", "retract", "restore", "rescope", "update", "hold", "merge"])):
        case "resolve":
            return model.resolve(name)
        case "retract":
            return model.retract(name)
        case "restore":
            return model.restore(name, draw(st.sampled_from(sorted(outage.parts)))) if outage.parts else None
        case "rescope":
            return model.rescope(name, draw(PARTS), to_all=draw(st.booleans()))
        case "update":
            return model.update(name, draw(ETAS))
        case "hold":
            return model.hold(name)
        case _:
            others = [o.name for o in model.outages.values() if o.open and o.name != name]
            return model.merge(name, draw(st.sampled_from(others))) if others else None


def check_step(model: ToldModel, said: list[Told]) -> None:
    for told in said:
        _one_message_per_outage(told)
        _nobody_hears_back_for_what_is_still_down(model, told)
        _nothing_but_an_acknowledgement_comes_first(told)
        _was_is_what_was_last_sent(told)
        _one_leader_while_down_none_after(model, told)


def _one_message_per_outage(told: Told) -> None:
    spoken = [u.outage_id for u in told.answer.utterances]
    assert len(spoken) == len(set(spoken))
    lines = [line for u in told.answer.utterances for line in u.lines]
    down = [(line.kind, line.id, line.customer_id) for line in lines if line.level is not Level.NO_IMPACT]
    back = {(line.kind, line.id, line.customer_id) for line in lines if line.level is Level.NO_IMPACT}
    assert len(down) == len(set(down)), "a thing stands in the messages of two outages"
    assert not back & set(down), "back and down in one breath"
    for row in told.rows:
        for line in row.utterance.lines:
            key = ThingKey(line.kind, line.id, line.customer_id)
            lead = told.address.leads.get((row.utterance.outage_id, row.episode, key))
            assert lead is not None, "an outage speaks of what it never led"
            assert lead.role is (Role.ENDED if line.level is Level.NO_IMPACT else Role.LEADS)


def _nobody_hears_back_for_what_is_still_down(model: ToldModel, told: Told) -> None:
    for row in told.rows:
        for line in row.ends:
            level = model.level(ThingKey(line.kind, line.id, line.customer_id))
            assert level not in told.address.wants, (row.utterance, level)


def _nothing_but_an_acknowledgement_comes_first(told: Told) -> None:
    before = told.address.believes()
    for row in told.rows:
        u = row.utterance
        if u.silent or u.kind is NoticeKind.ACKNOWLEDGEMENT or u.combined:
            continue
        known = any(before.get(ThingKey(x.kind, x.id, x.customer_id)) for x in u.lines)
        assert told.before[u.outage_id].acked or known, f"{u.kind} to somebody who was told nothing"
        assert told.before[u.outage_id].left or known, f"{u.kind} to somebody to whom nothing has left"


def _was_is_what_was_last_sent(told: Told) -> None:
    for row in told.rows:
        last = [r.eta for r in told.address.rows if r.state == "left" and _same_episode(r, row)]
        assert row.utterance.was_eta in (None, last[-1] if last else None)
        if row.utterance.kind is NoticeKind.ETA:
            assert last == [] or row.eta != last[-1]
        believed = told.address.believes()
        for line in row.utterance.lines:
            if line.level is not Level.NO_IMPACT and line.was is not None:
                assert believed.get(ThingKey(line.kind, line.id, line.customer_id)) == line.was


def _same_episode(one: Row, other: Row) -> bool:
    return (one.utterance.outage_id, one.episode) == (other.utterance.outage_id, other.episode)


def _one_leader_while_down_none_after(model: ToldModel, told: Told) -> None:
    episodes = {o.name: o.episode for o in model.outages.values()}
    leads = told.address.told(episodes)
    for key in THINGS:
        leaders = [lead for lead in leads.get(key, ()) if lead.role is Role.LEADS]
        level = model.as_heard(told.address, model.thing(key), leads.get(key, ()))
        assert len(leaders) == (1 if level else 0)
        assert all(lead.level is level and lead.outage_id in model.touching(key) for lead in leaders)


@settings(max_examples=120, deadline=None)
@given(plays())
def test_each_step_keeps_the_laws(model: ToldModel) -> None:
    assert model.outages


@settings(max_examples=120, deadline=None)
@given(plays(), st.booleans(), st.randoms())
def test_at_rest_everybody_who_was_told_the_beginning_was_told_the_end(model: ToldModel, late: bool, order) -> None:  # type: ignore[no-untyped-def]
    still = [o.name for o in model.outages.values() if o.open]
    order.shuffle(still)
    for name in still:
        check_step(model, model.resolve(name))
        if not late:
            model.leave()
    model.leave()
    for address in model.addresses:
        down = {key: level for key, level in address.believes().items() if level is not Level.NO_IMPACT}
        assert down == {}, address.name


@settings(max_examples=120, deadline=None)
@given(plays(all_leave=True))
def test_an_end_is_said_once(model: ToldModel) -> None:
    for name in [o.name for o in model.outages.values() if o.open]:
        model.resolve(name)
        model.leave()
    for address in model.addresses:
        down: set[tuple[str, str, str]] = set()
        for row in address.read():
            for line in row.utterance.lines:
                key = (line.kind, line.id, line.customer_id)
                if line.level is Level.NO_IMPACT:
                    assert key in down, "told the end of what it was not told"
                    down.discard(key)
                else:
                    down.add(key)
        assert not down


@settings(max_examples=120, deadline=None)
@given(plays())
def test_planning_the_same_state_again_says_nothing_new(model: ToldModel) -> None:
    """What has left is not said again; what waits is at most replaced by the very same words."""
    for leave in (False, True):
        if leave:
            model.leave()
        for outage in model.outages.values():
            if not outage.open:
                continue
            for told in model.speak(outage.name, Verb.UPDATE, to_all=False, keep=False):
                assert all(lead.role is Role.COVERED for lead in told.answer.leads)
                waiting = [r.utterance for r in told.address.rows if r.state == "waiting"]
                for u in (u for u in told.answer.utterances if not u.silent):
                    assert not leave
                    assert u.kind is NoticeKind.ACKNOWLEDGEMENT
                    assert u.reason in (NoticeReason.NOT_YET_TOLD, NoticeReason.NEWLY_TOUCHED)
                    assert any(_things(w.lines) >= _things(u.lines) for w in waiting if w.outage_id == u.outage_id)


def _things(lines: Iterable[object]) -> set[tuple[str, str, str, Level]]:
    return {(x.kind, x.id, x.customer_id, x.level) for x in lines}  # type: ignore[attr-defined]


def _story(first: Parts, second: Parts, *, swap: bool, first_ends: bool, late: bool) -> dict[str, dict[ThingKey, int]]:
    model = ToldModel(UPWARD)
    cuts = [("O1", first), ("O2", second)]
    for name, parts in reversed(cuts) if swap else cuts:
        model.declare(name, parts)
        if not late:
            model.leave()
    model.leave()
    for name in ("O1", "O2") if first_ends else ("O2", "O1"):
        model.resolve(name)
        model.leave()
    ends: dict[str, dict[ThingKey, int]] = {}
    for address in model.addresses:
        count = ends.setdefault(address.name, {})
        for row in address.read():
            for line in row.ends:
                key = ThingKey(line.kind, line.id, line.customer_id)
                count[key] = count.get(key, 0) + 1
    return ends


@settings(max_examples=120, deadline=None)
@given(PARTS, PARTS, st.booleans())
def test_two_cuts_in_either_order_mended_in_either_order_tell_the_same_end(
    first: dict[str, Level], second: dict[str, Level], late: bool
) -> None:
    stories = [
        _story(first, second, swap=swap, first_ends=ends, late=late) for swap in (False, True) for ends in (False, True)
    ]
    assert all(story == stories[0] for story in stories)
    assert all(count == 1 for story in stories for things in story.values() for count in things.values())
