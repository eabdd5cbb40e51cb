"""The situations that have golden files: who is told what, as frozen facts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from outagecast.domain.facts import EtaState, Line, OwnFacts, RevisionFacts
from outagecast.domain.levels import Level
from outagecast.rendering import Provider, Renderer

TEMPLATES = Path(__file__).parents[2] / "templates"
PROVIDER = Provider(
    name="Bluegrass Fiber",
    url="https://status.example.net",
    phone="+1 859 555 0100",
    email="noc@example.net",
    zone="America/New_York",
    language="en",
)
START = datetime(2026, 7, 14, 13, 14, 40, tzinfo=UTC)
"""09:14 EDT."""
SAID = START + timedelta(minutes=6)
LATER = START + timedelta(hours=2, minutes=16)
END = START + timedelta(hours=3, minutes=41)
ETA = START + timedelta(hours=6, minutes=26)
NEW_ETA = START + timedelta(hours=8)
CREW = "The crew is on site and has found the damaged cable at Kiln Road. A new one is being laid."

OUT, DEG, RED, OK = Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY, Level.NO_IMPACT

Case = tuple[RevisionFacts, OwnFacts]


class FixedLinks:
    """Links of the usual length: 49 characters, a token of 22."""

    def my(self, address_ref: int) -> str:
        return f"https://status.example.net/m/{address_ref:022d}"

    def unsubscribe(self, address_ref: int) -> str:
        return f"https://status.example.net/u/{address_ref:022d}"


def renderer(*roots: Path) -> Renderer:
    return Renderer(PROVIDER, [*roots, TEMPLATES], FixedLinks())


def revision(**changes: Any) -> RevisionFacts:
    base = RevisionFacts(
        outage_id="OUT-2026-0012",
        episode=1,
        revision=1,
        said_at=SAID,
        title="POP-LEX down",
        severity="major",
        status="investigating",
        effect="outage",
        started_at=START,
    )
    return replace(base, **changes)


def line(**changes: Any) -> Line:
    base = Line(
        customer_id="C-1001",
        customer="Harper Dental",
        kind="circuit",
        id="CIR-20117",
        label="Main Office",
        place="12 Mill Street",
        service="Fiber Internet",
        level=OUT,
        since=START,
    )
    return replace(base, **changes)


def own(kind: str, *lines: Line, **changes: Any) -> OwnFacts:
    said = SAID if kind == "acknowledgement" else LATER
    base = OwnFacts(
        kind=kind,
        name="Anna Meier",
        language="en",
        zone="America/New_York",
        lines=lines or (line(was=None if kind == "acknowledgement" else OUT),),
        promise=None if kind in ("resolution", "retraction", "follow_up") else said + timedelta(minutes=30),
        first=kind == "acknowledgement",
        address_ref=7,
    )
    return replace(base, **changes)


def back(**changes: Any) -> Line:
    return line(**({"level": OK, "was": OUT, "back_at": END} | changes))


LABELS = ("Main Office", "Depot", "Lab", "Reception", "Warehouse North", "Shop", "Server Room")


def seven(**changes: Any) -> tuple[Line, ...]:
    return tuple(
        line(label=label, id=f"CIR-{n:05}", place=f"{12 + n // 2} Mill Street", **changes)
        for n, label in enumerate(LABELS)
    )


def two_hundred(**changes: Any) -> tuple[Line, ...]:
    """A reseller's: three customers, 25 places."""
    return tuple(
        line(
            customer_id=f"C-{n // 80}",
            customer=("Alder Clinics", "Birch & Sons", "Cedar Schools")[n // 80],
            label=f"Site {n:03}",
            id=f"CIR-{n:05}",
            place=f"{n // 8 + 1} Oak Avenue",
            **changes,
        )
        for n in range(200)
    )


def cases() -> Iterator[tuple[str, Case]]:
    """Name and facts of every golden file."""
    yield from _acknowledgements()
    yield from _etas()
    yield from _updates()
    yield from _holdings()
    yield from _resolutions()
    yield from _retractions()
    yield from _follow_ups()
    yield from _readers()


def _acknowledgements() -> Iterator[tuple[str, Case]]:
    kind, known = "acknowledgement", revision(eta=ETA)
    set_eta: dict[str, Any] = {"eta_state": EtaState.SET}
    yield "ack-one", (revision(), own(kind))
    yield "ack-one-eta", (known, own(kind, **set_eta))
    yield "ack-one-eta-message", (revision(eta=ETA, message=CREW, cause="fibre cut"), own(kind, **set_eta))
    yield "ack-one-eta-changed", (revision(eta=NEW_ETA), own(kind, eta_state=EtaState.CHANGED, was_eta=ETA))
    yield "ack-one-eta-withdrawn", (revision(), own(kind, eta_state=EtaState.WITHDRAWN, was_eta=ETA))
    yield "ack-one-eta-passed", (revision(eta=ETA, said_at=NEW_ETA), own(kind, eta_state=EtaState.PASSED))
    yield "ack-seven", (revision(), own(kind, *seven()))
    yield "ack-seven-eta", (known, own(kind, *seven(), **set_eta))
    yield "ack-two-hundred", (revision(), own(kind, *two_hundred()))
    yield "ack-two-hundred-eta", (known, own(kind, *two_hundred(), **set_eta))
    yield "ack-degraded", (revision(effect="degraded"), own(kind, line(level=DEG)))
    yield "ack-seven-degraded", (revision(effect="degraded"), own(kind, *seven(level=DEG)))
    yield "ack-redundancy-lost", (revision(), own(kind, line(level=RED)))
    yield "ack-redundancy-lost-eta", (known, own(kind, line(level=RED), **set_eta))
    yield "ack-seven-redundancy-lost", (revision(), own(kind, *seven(level=RED)))
    at_risk = revision(effect="at_risk", at_risk_until=ETA)
    yield "ack-at-risk", (at_risk, own(kind, line(level=RED)))
    yield "ack-at-risk-open-end", (revision(effect="at_risk"), own(kind, line(level=RED)))
    yield "ack-made-worse", (revision(), own(kind, line(was=DEG), first=False))
    yield "ack-seven-mixed", (revision(), own(kind, *_mixed(was=None)))
    yield "ack-some-new", (revision(), own(kind, line(was=OUT), line(label="Depot", since=SAID), first=False))
    yield "ack-reopened", (revision(reopened=True, episode=2), own(kind))
    yield "ack-seven-reopened", (revision(reopened=True, episode=2), own(kind, *seven()))
    yield "ack-service", (revision(), own(kind, line(kind="service", label="Voice", service="Voice", place="")))
    birch = line(customer_id="C-2", customer="Birch & Sons", label="Shop")
    yield "ack-two-customers", (revision(), own(kind, line(), birch))
    yield "ack-since-differs", (revision(), own(kind, line(), line(label="Depot", since=START + timedelta(minutes=3))))


def _mixed(**changes: Any) -> tuple[Line, ...]:
    levels = (OUT, OUT, OUT, DEG, DEG, RED, OUT)
    return tuple(replace(one, level=level) for one, level in zip(seven(**changes), levels, strict=True))


def _etas() -> Iterator[tuple[str, Case]]:
    kind, known = "eta", revision(eta=ETA, said_at=LATER, status="identified")
    yield "eta-first", (known, own(kind, eta_state=EtaState.SET))
    yield "eta-first-message", (replace(known, message=CREW), own(kind, eta_state=EtaState.SET))
    slipped = replace(known, eta=NEW_ETA)
    yield "eta-changed", (slipped, own(kind, eta_state=EtaState.CHANGED, was_eta=ETA))
    yield "eta-changed-message", (replace(slipped, message=CREW), own(kind, eta_state=EtaState.CHANGED, was_eta=ETA))
    next_day = replace(known, eta=START + timedelta(hours=21))
    yield "eta-changed-to-tomorrow", (next_day, own(kind, eta_state=EtaState.CHANGED, was_eta=ETA))
    gone = replace(known, eta=None)
    yield "eta-withdrawn", (gone, own(kind, eta_state=EtaState.WITHDRAWN, was_eta=ETA))
    yield "eta-seven-changed", (slipped, own(kind, *seven(was=OUT), eta_state=EtaState.CHANGED, was_eta=ETA))
    moved: dict[str, Any] = {"eta_state": EtaState.CHANGED, "was_eta": ETA}
    yield "eta-two-hundred-changed", (slipped, own(kind, *two_hundred(was=OUT), **moved))
    yield "eta-degraded-changed", (slipped, own(kind, line(level=DEG, was=DEG), **moved))


def _updates() -> Iterator[tuple[str, Case]]:
    kind, known = "update", revision(said_at=LATER, message=CREW, status="identified", cause="fibre cut")
    eta = replace(known, eta=ETA)
    yield "update-message", (known, own(kind))
    yield "update-message-eta", (eta, own(kind, eta_state=EtaState.SET))
    yield "update-long-message", (replace(eta, message=" ".join([CREW] * 6)), own(kind, eta_state=EtaState.SET))
    yield "update-seven", (eta, own(kind, *seven(was=OUT), eta_state=EtaState.SET))
    yield "update-two-hundred", (eta, own(kind, *two_hundred(was=OUT), eta_state=EtaState.SET))
    yield "update-degraded", (known, own(kind, line(level=DEG, was=DEG)))
    yield "update-made-worse", (replace(known, message=""), own(kind, line(level=OUT, was=DEG)))
    yield "update-better", (replace(known, message=""), own(kind, line(level=DEG, was=OUT)))
    part = replace(known, message="", eta=ETA)
    up: dict[str, Any] = {"level": OK, "back_at": LATER - timedelta(minutes=12)}
    depot = line(was=OUT, label="Depot", place="4 Kiln Road")
    yield "update-restored-in-part", (part, own(kind, line(was=OUT, **up), depot, eta_state=EtaState.SET))
    some = tuple(replace(one, **up) if n < 4 else one for n, one in enumerate(seven(was=OUT)))
    yield "update-seven-restored-in-part", (part, own(kind, *some, eta_state=EtaState.SET))
    most = tuple(replace(one, **up) if n % 3 else one for n, one in enumerate(two_hundred(was=OUT)))
    yield "update-two-hundred-restored-in-part", (part, own(kind, *most, eta_state=EtaState.SET))
    yield "update-not-affected-in-part", (replace(known, message=""), own(kind, line(level=OK, was=OUT), depot))
    yield "update-lead-passed", (replace(known, message="", cause=""), own(kind, repaired_at=LATER))
    yield "update-lead-passed-eta", (part, own(kind, repaired_at=LATER, eta_state=EtaState.SET))
    yield "update-monitoring", (replace(known, status="monitoring", message=""), own(kind))


def _holdings() -> Iterator[tuple[str, Case]]:
    kind, known = "holding", revision(said_at=LATER)
    yield "holding", (known, own(kind))
    yield "holding-eta", (replace(known, eta=ETA), own(kind, eta_state=EtaState.SET))
    late = replace(known, eta=LATER - timedelta(minutes=1))
    yield "holding-eta-passed", (late, own(kind, eta_state=EtaState.PASSED, eta_passed=True))
    yield "holding-slow", (known, own(kind, promise=None, slow=True))
    yield "holding-seven", (known, own(kind, *seven(was=OUT)))
    yield "holding-seven-slow", (known, own(kind, *seven(was=OUT), promise=None, slow=True))
    yield "holding-two-hundred", (known, own(kind, *two_hundred(was=OUT)))
    yield "holding-degraded", (known, own(kind, line(level=DEG, was=DEG)))
    yield "holding-redundancy-lost", (known, own(kind, line(level=RED, was=RED)))


def _resolutions() -> Iterator[tuple[str, Case]]:
    kind, known = "resolution", revision(said_at=END, ended_at=END, status="resolved", cause="fibre cut")
    yield "resolution-one", (known, own(kind, back()))
    yield "resolution-one-message", (replace(known, message="The damaged cable has been replaced."), own(kind, back()))
    yield "resolution-seven", (known, own(kind, *seven(level=OK, was=OUT, back_at=END)))
    uneven = tuple(
        replace(one, back_at=END - timedelta(minutes=17 * n)) for n, one in enumerate(seven(level=OK, was=OUT))
    )
    yield "resolution-seven-uneven", (known, own(kind, *uneven))
    yield "resolution-two-hundred", (known, own(kind, *two_hundred(level=OK, was=OUT, back_at=END)))
    yield "resolution-degraded", (known, own(kind, back(was=DEG)))
    yield "resolution-redundancy", (known, own(kind, back(was=RED)))
    yield "resolution-at-risk", (replace(known, effect="at_risk", at_risk_until=ETA), own(kind, back(was=RED)))
    yield "resolution-combined", (known, own(kind, back(), combined=True, first=True))
    all_back = seven(level=OK, was=OUT, back_at=END)
    yield "resolution-seven-combined", (known, own(kind, *all_back, combined=True, first=True))
    days = START + timedelta(days=2, hours=4)
    yield "resolution-days", (replace(known, said_at=days), own(kind, back(back_at=days)))
    yield "resolution-seconds", (known, own(kind, back(back_at=START + timedelta(seconds=15))))


def _retractions() -> Iterator[tuple[str, Case]]:
    kind, known = "retraction", revision(said_at=LATER, status="retracted")
    false, not_touched = (replace(known, retract_reason=reason) for reason in ("false_alarm", "not_affected"))
    yield "retraction-false-alarm", (false, own(kind, line(level=OK, was=OUT)))
    yield "retraction-not-affected", (not_touched, own(kind, line(level=OK, was=OUT)))
    yield "retraction-seven", (false, own(kind, *seven(level=OK, was=OUT)))
    yield "retraction-two-hundred", (not_touched, own(kind, *two_hundred(level=OK, was=OUT)))


def _follow_ups() -> Iterator[tuple[str, Case]]:
    words = "A digger cut the cable. We now mark its course on the site's plans.\n\nWe credit one day to your account."
    known = revision(said_at=END + timedelta(days=1), ended_at=END, status="resolved", cause="fibre cut", message=words)
    yield "follow-up-one", (known, own("follow_up", back()))
    yield "follow-up-seven", (known, own("follow_up", *seven(level=OK, was=OUT, back_at=END)))


def _readers() -> Iterator[tuple[str, Case]]:
    known, kind = revision(eta=ETA), "acknowledgement"
    set_eta: dict[str, Any] = {"eta_state": EtaState.SET}
    yield "reader-berlin", (known, own(kind, zone="Europe/Berlin", **set_eta))
    yield "reader-sao-paulo", (known, own(kind, zone="America/Sao_Paulo", **set_eta))
    yield "reader-auckland", (known, own(kind, zone="Pacific/Auckland", **set_eta))
    yield "reader-without-name", (known, own(kind, name="", **set_eta))
    yield (
        "reader-hostile",
        (
            revision(eta=ETA, message="<b>Now</b> {{ 7 * 7 }} \u202emoc.evil\u202c\r\nBcc: x@example.net"),
            own(
                kind,
                line(label='=1+1 <script>alert("x")</script>', place="A\r\nB"),
                name='Eve "><img src=x>',
                **set_eta,
            ),
        ),
    )
    office = line(label="Biuro Główne", place="ul. Łąkowa 4")
    yield "reader-polish", (known, own(kind, office, name="Zażółć Gęślą", **set_eta))
    yield "reader-chinese", (known, own(kind, line(label="北京办公室", place="朝阳区"), name="王伟", **set_eta))
