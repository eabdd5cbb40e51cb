"""Who is told what, rule by rule: one address, outages O1 and O2, things a, b, c (`tests/support/told_model.py`)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from outagecast.domain.facts import EtaState, Line
from outagecast.domain.levels import Level
from outagecast.domain.notices import (
    AddressHistory,
    AddressPlan,
    Lead,
    NoticeKind,
    NoticeReason,
    Role,
    Speaking,
    ThingKey,
    ThingNow,
    Utterance,
)
from outagecast.domain.outage import Verb
from outagecast.domain.plan import plan
from tests.support.told_model import START, Told, ToldModel

NONE, REDUCED, DEGRADED, OUTAGE = Level.NO_IMPACT, Level.REDUCED_REDUNDANCY, Level.DEGRADED, Level.OUTAGE
SIX, NINE = START + timedelta(hours=6), START + timedelta(hours=9)
A, B = ThingKey("circuit", "T-a", "K1"), ThingKey("circuit", "T-b", "K1")
C = ThingKey("service", "T-c", "K2")


def model(*wants: Level, combine_late: bool = True) -> ToldModel:
    """One address; it wants to hear of OUTAGE and DEGRADED unless told otherwise."""
    return ToldModel({"ann": frozenset(wants or (OUTAGE, DEGRADED))}, combine_late=combine_late)


def spoken(said: list[Told]) -> list[Utterance]:
    """What is really said to the one address."""
    (told,) = said
    return [u for u in told.answer.utterances if not u.silent]


def only(said: list[Told]) -> Utterance:
    (utterance,) = spoken(said)
    return utterance


def line(utterance: Utterance, key: ThingKey) -> Line:
    return next(x for x in utterance.lines if x.id == key.id)


def silent(said: list[Told]) -> list[tuple[NoticeKind, NoticeReason]]:
    (told,) = said
    return [(u.kind, u.reason) for u in told.answer.utterances if u.silent]


# --- rule 14: what is said ---


def test_declaring_says_an_acknowledgement() -> None:
    told = only(model().declare("O1", {"b": OUTAGE}, eta=SIX))
    assert told.kind is NoticeKind.ACKNOWLEDGEMENT
    assert told.reason is NoticeReason.NEWLY_TOUCHED
    assert (told.first, told.eta_state, told.was_eta) == (True, EtaState.SET, None)
    assert [(x.id, x.level, x.was) for x in told.lines] == [("T-b", OUTAGE, None)]


def test_whoever_is_not_touched_or_does_not_want_to_know_hears_nothing() -> None:
    assert spoken(model().declare("O1", {})) == []
    assert spoken(model(OUTAGE).declare("O1", {"b": DEGRADED})) == []
    assert spoken(model().declare("O1", {"b": REDUCED})) == []


@pytest.mark.parametrize(
    ("before", "after", "kind", "state", "was"),
    [
        (None, None, NoticeKind.UPDATE, EtaState.NONE, None),
        (SIX, SIX, NoticeKind.UPDATE, EtaState.SET, None),
        (None, SIX, NoticeKind.ETA, EtaState.SET, None),
        (SIX, NINE, NoticeKind.ETA, EtaState.CHANGED, SIX),
        (SIX, None, NoticeKind.ETA, EtaState.WITHDRAWN, SIX),
        (SIX, START, NoticeKind.ETA, EtaState.PASSED, SIX),
    ],
)
def test_an_update_is_an_eta_notice_if_the_eta_changed_else_an_update(
    before: object, after: object, kind: NoticeKind, state: EtaState, was: object
) -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE}, eta=before)  # type: ignore[arg-type]
    one.leave()
    told = only(one.update("O1", eta=after))  # type: ignore[arg-type]
    assert (told.kind, told.eta_state, told.was_eta, told.first) == (kind, state, was, False)


def test_was_names_the_eta_this_address_was_last_sent_and_not_the_one_in_between() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE}, eta=SIX)
    one.leave()
    one.update("O1", eta=SIX + timedelta(hours=1))
    told = only(one.update("O1", eta=NINE))
    assert (told.kind, told.eta_state, told.was_eta) == (NoticeKind.ETA, EtaState.CHANGED, SIX)
    assert only(one.update("O1", eta=SIX)).kind is NoticeKind.UPDATE


def test_an_eta_that_was_withdrawn_is_withdrawn_once() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE}, eta=SIX)
    one.leave()
    one.update("O1")
    one.leave()
    told = only(one.update("O1"))
    assert (told.kind, told.eta_state, told.was_eta) == (NoticeKind.UPDATE, EtaState.NONE, None)


def test_those_newly_touched_get_their_acknowledgement_instead_of_the_update() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.rescope("O1", {"b": OUTAGE, "c": OUTAGE}, to_all=True))
    assert (told.kind, told.reason, told.first) == (NoticeKind.ACKNOWLEDGEMENT, NoticeReason.NEWLY_TOUCHED, False)
    assert line(told, B).was is OUTAGE
    assert line(told, C).was is None


def test_a_change_that_is_nothing_new_here_and_no_word_for_all_says_nothing() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    assert spoken(one.speak("O1", Verb.UPDATE, to_all=False)) == []


def test_the_daemon_holds_where_the_desk_is_silent() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE}, eta=SIX)
    one.leave()
    told = only(one.hold("O1"))
    assert (told.kind, told.reason) == (NoticeKind.HOLDING, NoticeReason.PROMISE_DUE)
    one.now = SIX
    assert only(one.hold("O1")).eta_state is EtaState.PASSED


# --- rule 5: the lead ---


def test_a_later_outage_that_makes_it_no_worse_is_covered() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    said = one.declare("O2", {"b": DEGRADED})
    assert spoken(said) == []
    assert silent(said) == [(NoticeKind.ACKNOWLEDGEMENT, NoticeReason.COVERED)]
    assert [(x.outage_id, x.role) for x in said[0].answer.leads] == [("O2", Role.COVERED)]


def test_only_the_leader_holds_and_promises() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    one.leave()
    assert spoken(one.hold("O2")) == []
    assert spoken(one.update("O2", eta=SIX)) == []
    assert only(one.hold("O1")).kind is NoticeKind.HOLDING


def test_a_later_outage_that_makes_it_worse_takes_the_lead_and_names_what_was() -> None:
    one = model()
    one.declare("O1", {"b": DEGRADED})
    one.leave()
    said = one.declare("O2", {"b": OUTAGE})
    told = only(said)
    assert (told.outage_id, told.kind, told.reason) == ("O2", NoticeKind.ACKNOWLEDGEMENT, NoticeReason.MADE_WORSE)
    assert (line(told, B).was, line(told, B).level) == (DEGRADED, OUTAGE)
    assert {(x.outage_id, x.role) for x in said[0].answer.leads} == {("O1", Role.COVERED), ("O2", Role.LEADS)}


def test_the_leader_that_makes_it_worse_itself_says_an_update() -> None:
    one = model()
    one.declare("O1", {"b": DEGRADED})
    one.leave()
    told = only(one.rescope("O1", {"b": OUTAGE}))
    assert (told.kind, told.reason) == (NoticeKind.UPDATE, NoticeReason.MADE_WORSE)


def test_when_the_leader_ends_the_successor_says_what_was_repaired() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    one.leave()
    said = one.resolve("O1")
    told = only(said)
    assert (told.outage_id, told.kind, told.reason) == ("O2", NoticeKind.UPDATE, NoticeReason.LEAD_PASSED)
    assert told.repaired_at == one.now
    assert line(told, B).back_at is None
    assert {(x.outage_id, x.role) for x in said[0].answer.leads} == {("O1", Role.ENDED), ("O2", Role.LEADS)}


def test_a_leader_that_never_was_was_not_repaired() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    one.leave()
    told = only(one.retract("O1"))
    assert (told.outage_id, told.kind, told.repaired_at) == ("O2", NoticeKind.UPDATE, None)


def test_a_merged_leader_was_not_repaired_either() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"c": OUTAGE})
    one.leave()
    told = only(one.merge("O1", "O2"))
    assert (told.outage_id, told.kind, told.repaired_at) == ("O2", NoticeKind.UPDATE, None)
    assert {x.id for x in told.lines} == {"T-b", "T-c", "T-a;c"}


def test_whoever_was_covered_and_became_leader_gets_the_end() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    one.leave()
    one.resolve("O1")
    one.leave()
    told = only(one.resolve("O2"))
    assert (told.outage_id, told.kind, told.reason) == ("O2", NoticeKind.RESOLUTION, NoticeReason.ENDED)


def test_the_end_of_what_is_covered_is_a_row_that_says_nothing() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    one.leave()
    said = one.resolve("O2")
    assert spoken(said) == []
    assert silent(said) == [(NoticeKind.RESOLUTION, NoticeReason.COVERED)]


def test_the_successor_of_a_leader_that_told_nothing_yet_acknowledges() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.declare("O2", {"b": OUTAGE})
    told = only(one.resolve("O1"))
    assert (told.outage_id, told.kind, told.repaired_at) == ("O2", NoticeKind.ACKNOWLEDGEMENT, None)
    assert line(told, B).was is None


def test_no_message_speaks_of_two_outages() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.declare("O2", {"b": DEGRADED, "c": OUTAGE}))
    assert {x.id for x in told.lines} == {"T-c", "T-a;c"}


def test_a_waiting_acknowledgement_is_taken_back_when_a_worse_outage_takes_over() -> None:
    one = model()
    one.declare("O1", {"b": DEGRADED})
    said = one.declare("O2", {"b": OUTAGE})
    told = only(said)
    assert (told.outage_id, told.kind, line(told, B).was) == ("O2", NoticeKind.ACKNOWLEDGEMENT, None)
    assert silent(said) == [(NoticeKind.ACKNOWLEDGEMENT, NoticeReason.COVERED)]
    one.leave()
    assert [row.utterance.outage_id for row in one.addresses[0].read()] == ["O2"]


# --- rule 6: restored in parts ---


def test_what_is_back_is_told_with_its_own_time_and_the_rest_keeps_the_promise() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE, "c": OUTAGE})
    one.leave()
    told = only(one.restore("O1", "b"))
    assert (told.kind, told.reason) == (NoticeKind.UPDATE, NoticeReason.RESTORED)
    assert (line(told, B).level, line(told, B).back_at) == (NONE, one.now)
    assert (line(told, C).level, line(told, C).back_at) == (OUTAGE, None)


def test_when_nothing_of_theirs_is_left_down_it_is_a_resolution_and_the_last_word() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.restore("O1", "b"))
    assert (told.kind, told.reason, line(told, B).back_at) == (NoticeKind.RESOLUTION, NoticeReason.RESTORED, one.now)
    one.leave()
    assert spoken(one.update("O1", eta=SIX)) == []
    assert spoken(one.resolve("O1")) == []


def test_what_is_only_better_is_an_update() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.rescope("O1", {"b": DEGRADED}))
    assert (told.kind, told.reason, line(told, B).was) == (NoticeKind.UPDATE, NoticeReason.BETTER, OUTAGE)


def test_what_is_taken_out_of_the_scope_never_was_affected() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.rescope("O1", {}))
    assert (told.kind, line(told, B).back_at) == (NoticeKind.RETRACTION, None)


def test_a_retraction_tells_those_who_were_acknowledged() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    told = only(one.retract("O1"))
    assert (told.kind, told.reason) == (NoticeKind.RETRACTION, NoticeReason.ENDED)


# --- rule 15: what has not left ---


def test_an_acknowledgement_that_has_not_left_becomes_a_newer_acknowledgement() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    told = only(one.update("O1", eta=SIX))
    assert (told.kind, told.reason, told.first) == (NoticeKind.ACKNOWLEDGEMENT, NoticeReason.NOT_YET_TOLD, True)
    assert [row.state for row in one.addresses[0].rows] == ["superseded", "waiting"]


def test_so_does_one_of_a_thing_added_later() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    one.rescope("O1", {"b": OUTAGE, "c": OUTAGE})
    told = only(one.update("O1", eta=SIX))
    assert told.kind is NoticeKind.ACKNOWLEDGEMENT
    assert (line(told, B).was, line(told, C).was) == (OUTAGE, None)


def test_the_end_before_the_acknowledgement_is_one_combined_message() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    told = only(one.resolve("O1"))
    assert (told.kind, told.reason, told.combined) == (NoticeKind.RESOLUTION, NoticeReason.LATE, True)
    assert line(told, B).back_at == one.now


def test_or_nothing_where_the_provider_wants_it_so() -> None:
    one = model(combine_late=False)
    one.declare("O1", {"b": OUTAGE})
    said = one.resolve("O1")
    assert spoken(said) == []
    assert silent(said) == [(NoticeKind.RESOLUTION, NoticeReason.LATE)]


def test_the_retraction_of_what_nobody_was_told_says_nothing() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    assert spoken(one.retract("O1")) == []
    one.leave()
    assert one.addresses[0].read() == []


def test_nor_is_told_what_was_taken_out_of_the_scope_before() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    assert spoken(one.rescope("O1", {"a": REDUCED})) == []
    one.leave()
    assert one.addresses[0].read() == []


def test_an_end_that_has_not_left_is_not_lost_when_a_newer_word_takes_its_place() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE, "c": OUTAGE})
    one.leave()
    one.restore("O1", "b")
    mended = one.now
    told = only(one.resolve("O1"))
    assert told.kind is NoticeKind.RESOLUTION
    assert {x.id for x in told.lines} == {"T-b", "T-c", "T-a;c"}
    assert line(told, B).back_at == mended
    assert line(told, C).back_at == one.now


@pytest.mark.parametrize("verb", ["resolve", "hold", "update"])
def test_a_resolution_that_has_not_left_is_said_again_by_whatever_supersedes_it(verb: str) -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE})
    one.leave()
    one.restore("O1", "b")
    told = only(getattr(one, verb)("O1"))
    assert (told.kind, [x.id for x in told.lines]) == (NoticeKind.RESOLUTION, ["T-b"])
    one.leave()
    assert one.addresses[0].believes() == {B: NONE}


def test_what_was_told_to_be_down_before_a_worse_outage_took_over_is_told_to_be_back() -> None:
    one = model(combine_late=False)
    one.declare("O1", {"b": DEGRADED})
    one.leave()
    one.declare("O2", {"b": OUTAGE})
    one.resolve("O1")
    told = only(one.resolve("O2"))
    assert (told.kind, told.combined) == (NoticeKind.RESOLUTION, False)


# --- rule 16: a new episode ---


def test_reopening_tells_everybody_afresh() -> None:
    one = model()
    one.declare("O1", {"b": OUTAGE}, eta=SIX)
    one.leave()
    one.resolve("O1")
    one.leave()
    told = only(one.reopen("O1", {"b": OUTAGE}))
    assert (told.kind, told.first, told.was_eta) == (NoticeKind.ACKNOWLEDGEMENT, True, None)
    assert told.eta_state is EtaState.NONE
    assert line(told, B).was is None


# --- the bare function: histories as the outbox gives them ---


NOW = ThingNow(key=B, customer="Lee", label="Line 1", place="", service="", level=OUTAGE, touching=("O1",), since=START)
LEAD = Lead(outage_id="O1", key=B, role=Role.LEADS, level=OUTAGE, since=START)


def says(verb: Verb, history: AddressHistory, thing: ThingNow = NOW, *leads: Lead, to_all: bool = True) -> AddressPlan:
    speaking = Speaking(
        outage_id="O1",
        verb=verb,
        at=START,
        to_all=to_all,
        never=verb is Verb.RETRACT,
        back_at=START,
        etas={"O1": None},
    )
    return plan(speaking, [(thing, thing.level)], {B: leads or (LEAD,)}, {"O1": history})


def test_an_address_against_which_something_stands_is_not_written_to_again_and_again() -> None:
    blocked = AddressHistory(blocked=True)
    assert says(Verb.HOLDING, blocked).utterances == ()
    assert says(Verb.UPDATE, blocked).utterances == ()
    assert says(Verb.RESOLVE, blocked, replace(NOW, level=NONE, touching=())).utterances == ()


def test_a_blocked_address_is_not_acknowledged_by_being_covered() -> None:
    other = replace(LEAD, outage_id="O2")
    thing = replace(NOW, touching=("O2", "O1"))
    assert says(Verb.UPDATE, AddressHistory(blocked=True), thing, other).utterances == ()


def test_an_acknowledgement_that_failed_is_tried_again_with_the_next_word() -> None:
    failed = AddressHistory(waiting=frozenset({NoticeKind.ACKNOWLEDGEMENT}))
    (told,) = says(Verb.UPDATE, failed).utterances
    assert told.kind is NoticeKind.ACKNOWLEDGEMENT


def test_what_was_acknowledged_before_stays_so_although_an_earlier_try_failed() -> None:
    tried = AddressHistory(acked=True, left=True, waiting=frozenset({NoticeKind.ACKNOWLEDGEMENT}))
    (told,) = says(Verb.UPDATE, tried).utterances
    assert told.kind is NoticeKind.UPDATE


def test_the_same_state_again_says_nothing() -> None:
    answer = says(Verb.UPDATE, AddressHistory(acked=True, left=True), to_all=False)
    assert answer == AddressPlan(utterances=(), leads=())


def test_an_address_that_was_only_covered_was_sent_no_eta_that_could_change() -> None:
    (told,) = says(Verb.UPDATE, AddressHistory(acked=True, eta=SIX)).utterances
    assert (told.kind, told.eta_state, told.was_eta) == (NoticeKind.UPDATE, EtaState.NONE, None)
