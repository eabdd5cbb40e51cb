"""Mail servers and gateways that fail in every way they know: F6 to F10, F15, F16, F17, F24, F27."""

from collections import Counter
from random import Random
from time import sleep
from typing import Any

from tests.faults.plays.process import ETA, slow_wires
from tests.faults.proxy import Toxic, Trouble, Way
from tests.faults.scene import Judgement, Scene
from tests.faults.town import mail, phone
from tests.support.daemon import exchange, until

POINTS = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "after")
WAYS: dict[str, dict[str, Any]] = {
    "reset": {"mode": "reset"},
    "close": {"mode": "close"},
    "hang": {"mode": "hang", "ms": 1500},
    "4xx": {"mode": "code", "code": 451},
    "421": {"mode": "code", "code": 421},
    "garbage": {"mode": "garbage"},
    "slow": {"mode": "slow", "ms": 250},
}
BREAKS = [(at, way) for at in POINTS for way in WAYS if at != "body" or way in ("reset", "close", "hang", "slow")]
"""What a server says in the middle of a content, which it then takes all the same, is no SMTP: nobody could tell."""
UNKNOWN = {("dot", "garbage")} | {(at, way) for at in ("body", "dot") for way in ("reset", "close", "hang")}
"""Where nobody can know: all has been written, and no answer has come. Everywhere else every message comes once, by the
servers' own log, and nothing is ambiguous.
"""


def story(scene: Scene) -> None:
    """Declared, updated, resolved, all quiet in between."""
    said = scene.declare()
    scene.settle(said)
    scene.settle(scene.update(said.outage, eta=ETA))
    scene.settle(scene.resolve(said.outage))


def f6(scene: Scene, rng: Random) -> Judgement:
    """Breaks at one step of SMTP, several times, in one way; the step and the way are drawn."""
    return breaking(scene, rng, *rng.choice(BREAKS))


def breaking(scene: Scene, rng: Random, at: str, way: str) -> Judgement:
    scene.set()
    fault = {"channel": "smtp", "at": at, **WAYS[way], "count": rng.randint(1, 4), "skip": rng.randint(0, 3)}
    taken = at == "dot" and way in ("reset", "close", "hang", "garbage") and rng.random() < 0.5
    scene.sandbox.fault({**fault, "record": taken})
    scene.start()
    story(scene)
    scene.receipts_in()
    found = scene.judge(clean=(at, way) not in UNKNOWN)
    if not taken:
        assert found.figures.explained == 0, f"said twice although {at} {way} cannot have been taken"
    return found


def f6_wire(scene: Scene, rng: Random) -> Judgement:
    """The network cuts, resets, swallows or half closes after so many bytes, either way, on both channels."""
    scene.set()
    toxic = rng.choice((Toxic.CLOSE, Toxic.RESET, Toxic.SWALLOW, Toxic.HALF_CLOSE))
    for way in (scene.mail_way, scene.text_way):
        count = rng.randint(1, 3)
        way.play(
            Trouble(toxic=toxic, way=Way.THERE, after=rng.randint(0, 6000), count=count),
            Trouble(toxic=toxic, way=Way.BACK, after=rng.randint(0, 900), count=count),
        )
    scene.start()
    story(scene)
    scene.calm()
    scene.settle()
    return scene.judge()


def f6_half_answer(scene: Scene, rng: Random) -> Judgement:
    """The answer to a final dot comes in part only: nobody can know."""
    scene.set({"email": {"connections": 1}})
    # 220, 250-…, 250, 250, 354: what a session says before its first 250 for a content; then up to 20 bytes more.
    scene.mail_way.play(Trouble(toxic=Toxic.CLOSE, way=Way.BACK, after=rng.randint(170, 260), count=2))
    scene.start()
    story(scene)
    scene.calm()
    scene.settle()
    return scene.judge()


def five_ms(scene: Scene, rng: Random) -> Judgement:
    """A server 5 ms away, each way, and one that takes 20 kB a second: slow, and nothing else."""
    scene.set({"email": {"timeout": "10s"}, "sms": {"timeout": "10s"}})
    for way in (scene.mail_way, scene.text_way):
        way.play(
            Trouble(toxic=Toxic.DELAY, way=Way.THERE, seconds=0.005),
            Trouble(toxic=Toxic.DELAY, way=Way.BACK, seconds=0.005),
        )
    scene.mail_way.play(Trouble(toxic=Toxic.THROTTLE, way=Way.THERE, rate=40_000))
    scene.start()
    story(scene)
    scene.receipts_in()
    return scene.judge(clean=True)


def f7(scene: Scene, rng: Random) -> Judgement:
    """A storm of 429: nine of ten are refused, with Retry-After; each text comes once."""
    scene.set()
    scene.sandbox.fault(
        {"channel": "sms", "mode": "code", "code": 429, "retry_after": 1, "percent": 90, "count": rng.randint(6, 12)}
    )
    scene.start()
    story(scene)
    scene.receipts_in()
    return scene.judge(clean=True)


def f8(scene: Scene, rng: Random) -> Judgement:
    """500, a reset or silence after the text was taken: it is found in the provider's list, and not sent again."""
    scene.set()
    scene.sandbox.fault(
        {"channel": "sms", "mode": "code", "code": 500, "record": True, "count": 3, "skip": rng.randint(0, 4)},
        {"channel": "sms", "mode": "reset_after_record", "count": 3, "skip": rng.randint(0, 4)},
        {"channel": "sms", "mode": "reset_before_record", "count": 2},
    )
    scene.start()
    story(scene)
    found = scene.judge()
    assert found.figures.explained == 0, "sent again although the provider's list had it"
    assert found.figures.ambiguous >= 6
    return found


def f9(scene: Scene, rng: Random) -> Judgement:
    """Both providers are gone for a while, and the story goes on; with them back everybody hears the latest."""
    # Past the proxies, whose own doors stay open.
    scene.set({"email": {"port": scene.sandbox.port("smtp")}, "sms": {"api_url": scene.sandbox.sms_url}})
    scene.sandbox.fault({"channel": "smtp", "mode": "refuse"}, {"channel": "sms", "mode": "refuse"})
    scene.start()
    said = scene.declare()
    sleep(0.8)
    assert scene.heard_so_far() == 0
    said = scene.update(said.outage, eta=ETA)
    sleep(rng.uniform(0.2, 1.0))
    if rng.random() < 0.5:
        said = scene.resolve(said.outage)
    scene.calm()
    scene.settle(said)
    scene.receipts_in()
    return scene.judge(clean=True)


def f9_killed(scene: Scene, rng: Random) -> Judgement:
    """The provider's own process dies in the middle of a wave and comes back: what it had written down stands."""
    scene.set()
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 15))
    scene.sandbox.kill()
    sleep(0.3)
    scene.sandbox.start()
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    return scene.judge()


def f10(scene: Scene, rng: Random) -> Judgement:
    """Callbacks three times, in any order, some never, some forged, some before our own commit."""
    scene.set()
    scene.sandbox.set(
        repeat=3, shuffle=True, drop=10.0, forge=10.0, sent_after=rng.choice((0.0, 0.02)), delivered_after=0.1
    )
    scene.sandbox.fault({"channel": "sms", "mode": "undelivered", "error": 30003, "count": 3})
    scene.start()
    story(scene)
    scene.receipts_in(within=3)
    return scene.judge(clean=True)


def f15(scene: Scene, rng: Random) -> Judgement:
    """It ends while most acknowledgements have not left: those hear it all in one, or nothing before the end."""
    scene.set()
    slow_wires(scene, 60)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 10))
    end = scene.resolve(said.outage)
    scene.settle(end)
    scene.receipts_in()
    return scene.judge(clean=True)


def f16(scene: Scene, rng: Random) -> Judgement:
    """STOP, and a mail program's one click, in the middle of a wave."""
    scene.set()
    scene.sandbox.set(inbound_url=f"http://127.0.0.1:{scene.port}/callbacks/twilio/inbound")
    scene.start()
    said = scene.declare()
    scene.settle(said)
    slow_wires(scene, 40)
    update = scene.update(said.outage, eta=ETA)
    leaving = rng.sample(range(1, 13), 4)
    for n in leaving:
        scene.sandbox.answer(phone(n), "STOP")
        record = scene.sandbox.mails(to=mail(n), after=scene.mark)[0]
        status = exchange("127.0.0.1", scene.sandbox.port("http"), "POST", f"/mail/{record['n']}/unsubscribe")[0]
        assert status == 303
        sleep(rng.uniform(0.0, 0.1))
    scene.settle(update)
    scene.settle(scene.resolve(said.outage))
    found = scene.judge()
    assert len(found.scenery.gone) == 8
    return found


def f17(scene: Scene, rng: Random) -> Judgement:
    """The ETA is edited five times in a moment: whoever has not heard the others hears the last."""
    scene.set()
    scene.start()
    said = scene.declare()
    scene.settle(said)
    slow_wires(scene, 30)
    for hour in range(10, 15):
        said = scene.update(said.outage, eta=f"2035-01-01T{hour}:00:00Z")
        sleep(rng.uniform(0.0, 0.05))
    scene.settle(said)
    scene.receipts_in()
    found = scene.judge(clean=True)
    assert found.figures.messages < len(scene.town.hearing) * 6, "none of the five was superseded"
    return found


def f24(scene: Scene, rng: Random) -> Judgement:
    """Addresses that no server takes among the others: they fail with a reason, all others hear."""
    bad = {
        mail(1): "a@b.example\r\nRCPT TO:<stranger@example.org>",
        mail(2): f"{'x' * 300}@example.org",
        mail(3): "smile\N{GRINNING FACE}@example.org",
        mail(4): "no address at all",
        phone(5): "+1",
    }
    scene.set()
    scene.rewrite_addresses(bad)
    scene.told.excused = dict.fromkeys([*bad, *bad.values()], "poison")
    scene.start()
    said = scene.declare()
    scene.settle(said)
    found = scene.judge(clean=True, verified=False)
    states = Counter((row["to"], row["state"]) for row in scene.books.deliveries())
    for was, address in bad.items():
        assert states[address, "failed"] == 1 or address == bad[mail(3)], (was, states)
    # An address with letters beyond ASCII is fine for a server with SMTPUTF8.
    found.breaches = [b for b in found.breaches if bad[mail(3)] not in b.what]
    return found


def f27(scene: Scene, rng: Random) -> Judgement:
    """The mail server's name is not found: nothing fails for good, texts go on, and with the name back all is said."""
    scene.set({"email": {"host": "no-such-host.invalid"}})
    scene.start()
    said = scene.declare()
    phones = [one.address for one in scene.town.listeners if one.channel == "sms" and not one.silent]
    scene.until_heard(len(phones))
    until(lambda: "route_down" in scene.log(), "the way out is known to be down")
    assert not scene.sandbox.records("mail", after=scene.mark)
    assert scene.stop() == 0
    scene.configure({"email": {"host": "127.0.0.1"}})
    scene.start()
    scene.settle(said)
    scene.receipts_in()
    return scene.judge(clean=True)
