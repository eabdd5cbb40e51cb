"""Faults on demand: what goes wrong, where, for whom and how often.

A fault is a rule; the first that matches a moment is played. Modes:

| mode | SMTP | SMS |
|---|---|---|
| `code` (or the code itself, "451") | this reply at `at` | this HTTP status; `error` is Twilio's code |
| `hang` | no answer, for `ms` or for ever | the same |
| `reset` | TCP reset at `at` | TCP reset |
| `close` | orderly close at `at` | orderly close |
| `slow` | `ms` later, then as usual | the same |
| `refuse` | the port is closed until the fault is removed | the `sms_port` is closed; a reset on the main port |
| `garbage`, `drip` | a nonsense reply; the reply byte by byte, `ms` apart | |
| `undelivered` | | taken, and its receipt says undelivered with `error` |
| `reset_before_record`, `reset_after_record` | `reset` at the final dot, not taken / taken | the same |

`record: true` takes the message into the log all the same before `code`, `hang`, `reset` or `close` is played: the
sender cannot know, and that is the point. A code at the dot without it means "not taken".
"""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MODES = frozenset(
    {"code", "hang", "reset", "close", "slow", "refuse", "garbage", "drip", "undelivered"},
)
POINTS = frozenset({"connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "after", "quit"})
SHORTHANDS: Mapping[str, Mapping[str, object]] = {
    "reset_before_record": {"mode": "reset", "at": "dot", "record": False},
    "reset_after_record": {"mode": "reset", "at": "dot", "record": True},
    "hang_before_record": {"mode": "hang", "at": "dot", "record": False},
    "hang_after_record": {"mode": "hang", "at": "dot", "record": True},
}


class BadFault(ValueError):
    """The fault asked for makes no sense; the text says why."""


@dataclass(kw_only=True, slots=True)
class Fault:
    """One rule. `match` is a regular expression searched in the address (SMTP: any recipient, else the sender).

    `percent` is played by the book's seeded dice, `skip` lets the first n matches pass, `count` ends the rule after n
    hits (None: never ends). `retry_after` is in seconds and goes into the Retry-After header.
    """

    channel: str
    mode: str
    at: str = ""
    code: int = 0
    text: str = ""
    error: int = 0
    retry_after: int | None = None
    ms: int | None = None
    match: str = ""
    percent: float = 100.0
    skip: int = 0
    count: int | None = None
    record: bool = False
    id: int = 0
    hits: int = 0
    pattern: re.Pattern[str] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = (
    "id",
    "channel",
    "mode",
    "at",
    "code",
    "text",
    "error",
    "retry_after",
    "ms",
    "match",
    "percent",
    "skip",
    "count",
    "record",
    "hits",
)


class FaultBook:
    """The rules in force. Dice are seeded: the same seed and traffic play the same faults."""

    def __init__(self, *, seed: int = 1) -> None:
        self._seed = seed
        self._dice = random.Random(seed)
        self._next_id = 1
        self.rules: list[Fault] = []

    def add(self, **wanted: object) -> Fault:
        """Add a rule from its fields (see the module's table); raises BadFault."""
        fault = read_fault(wanted)
        fault.id = self._next_id
        self._next_id += 1
        self.rules.append(fault)
        return fault

    def clear(self, channel: str = "") -> None:
        self.rules = [rule for rule in self.rules if channel and rule.channel != channel]

    def reset(self) -> None:
        self.rules = []
        self._dice = random.Random(self._seed)

    def refused(self, channel: str) -> bool:
        return any(rule.channel == channel and rule.mode == "refuse" for rule in self.rules)

    def take(self, channel: str, at: str, addresses: Iterable[str] = ()) -> Fault | None:
        """The fault to play at this moment, counted as played; None almost always."""
        if not self.rules:
            return None
        known = tuple(addresses)
        for rule in self.rules:
            if rule.channel == channel and rule.at == at and rule.mode != "refuse" and self._falls(rule, known):
                rule.hits += 1
                return rule
        return None

    def _falls(self, rule: Fault, addresses: tuple[str, ...]) -> bool:
        if rule.pattern is not None and not any(rule.pattern.search(address) for address in addresses):
            return False
        if rule.count is not None and rule.hits >= rule.count:
            return False
        if rule.skip > 0:
            rule.skip -= 1
            return False
        return rule.percent >= 100.0 or self._dice.random() * 100.0 < rule.percent


def read_fault(wanted: Mapping[str, object]) -> Fault:
    """A checked Fault from loose fields, with defaults filled in; raises BadFault."""
    values = {name: value for name, value in wanted.items() if value is not None}
    mode = str(values.get("mode", ""))
    if mode in SHORTHANDS:
        values = {**SHORTHANDS[mode], **{k: v for k, v in values.items() if k != "mode"}}
    elif mode.isdigit():
        values = {**values, "mode": "code", "code": int(mode)}
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise BadFault(f"unknown fields: {', '.join(unknown)}")
    try:
        fault = Fault(**values)  # type: ignore[arg-type]
        fault.pattern = re.compile(fault.match) if fault.match else None
    except (TypeError, re.error) as error:
        raise BadFault(str(error)) from None
    _fill(fault)
    return fault


def _fill(fault: Fault) -> None:
    if fault.channel not in ("smtp", "sms"):
        raise BadFault("channel must be smtp or sms")
    if fault.mode not in MODES:
        raise BadFault(f"mode must be one of {', '.join(sorted(MODES | set(SHORTHANDS)))} or a code")
    if fault.channel == "sms":
        fault.at = "request"
    elif not fault.at:
        fault.at = "rcpt" if fault.mode == "code" else "dot"
    elif fault.at not in POINTS:
        raise BadFault(f"at must be one of {', '.join(sorted(POINTS))}")
    if fault.mode == "code" and not 200 <= fault.code <= 599:
        raise BadFault("code must be from 200 to 599")
