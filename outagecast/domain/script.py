"""What the desk would do in a rehearsal, one step a line: `+20m eta +2h`, `+2h restore CIR-17`, `+3h resolve`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from outagecast.domain.duration import parse_duration
from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.outage import ScopeEntry

LONGEST = timedelta(days=3)
MOST_STEPS = 50
EXAMPLE = "+20m eta +2h\n+1h30m eta +1h\n+2h restore CIR-17\n+3h resolve"
_LINE = re.compile(r"\+\s*(\S+)\s+(\w+)\s*(.*)", re.ASCII | re.DOTALL)


class Act(StrEnum):
    SAY = "say"
    ETA = "eta"
    RESTORE = "restore"
    RESOLVE = "resolve"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One act, so long `after` the declaration. `eta_in` counts from the act itself, None withdraws the ETA. `names`
    are the ids to restore as they were typed, `scope` what they turned out to be.
    """

    after: timedelta
    act: Act
    message: str = ""
    eta_in: timedelta | None = None
    names: str = ""
    scope: tuple[ScopeEntry, ...] = ()


def read_script(text: str, *, field: str = "script") -> tuple[Step, ...]:
    """The steps in the order of their times; Invalid says of each line what is wrong with it."""
    steps: list[Step] = []
    errors: list[FieldError] = []
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            steps.append(_step(line))
        except ValueError as error:
            errors.append(FieldError(field=field, message=f"line {number}: {error}"))
    if len(steps) > MOST_STEPS:
        errors.append(FieldError(field=field, message=f"has more than {MOST_STEPS} steps"))
    ordered = sorted(steps, key=lambda step: step.after)
    if any(step.act is Act.RESOLVE for step in ordered[:-1]):
        errors.append(FieldError(field=field, message="goes on after it was resolved: put resolve last"))
    if errors:
        raise Invalid(errors)
    return tuple(ordered)


def _step(line: str) -> Step:
    found = _LINE.fullmatch(line)
    if found is None or found[2] not in set(Act):
        raise ValueError("is no step: write +20m eta +2h, +1h say …, +2h restore ID or +3h resolve")
    after, act, rest = parse_duration(found[1]), Act(found[2]), found[3].strip()
    if after > LONGEST:
        raise ValueError(f"is later than {LONGEST.days} days after the declaration")
    match act:
        case Act.SAY:
            if not rest:
                raise ValueError("say what? Write the words behind it")
            return Step(after=after, act=act, message=rest)
        case Act.ETA:
            word, _, message = rest.partition(" ")
            if word not in ("none", "") and not word.startswith("+"):
                raise ValueError("write the time from then on, like eta +2h, or eta none")
            eta_in = None if word in ("none", "") else parse_duration(word.removeprefix("+"))
            return Step(after=after, act=act, eta_in=eta_in, message=message.strip())
        case Act.RESTORE:
            if not rest:
                raise ValueError("restore what? Write the ids behind it")
            return Step(after=after, act=act, names=rest)
        case Act.RESOLVE:
            return Step(after=after, act=act, message=rest)
