"""Who is written to first when the rate is the limit: by need, and why.

The order is that of the tiers in the settings; within one, whoever is without a telephone because of this, then whoever
can be told in no other way, then whoever has most of his lines in the message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class NeedReason(StrEnum):
    TIER = "tier"
    VOICE = "voice"
    """All that the message speaks of is a telephone service: he cannot call, nor be called."""
    ONLY_WAY = "only_way"
    """This address is all there is of this contact."""
    LARGE = "large"


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedRules:
    """`tiers`: the first one comes first; those that are not named come after all of them. `voice`: words in the name
    of a service that is a telephone, in small letters.
    """

    tiers: tuple[str, ...] = ("gold",)
    voice: tuple[str, ...] = ("voice", "phone", "telephone", "voip")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """`rank`: smaller goes first; 0 at the least, below it are the staff's."""

    rank: int
    because: tuple[NeedReason, ...]


_SIZES = 16
"""Sizes are told apart by powers of two, so that ranks are few."""


def need(rules: NeedRules, *, tiers: Iterable[str], services: Iterable[str], lines: int, only_way: bool) -> Need:
    """How soon a message is needed. `tiers`: of the customers it speaks of; `services`: the names of what their lines
    carry; `lines`: how many it speaks of.
    """
    place = min((_place(rules, tier) for tier in tiers), default=len(rules.tiers))
    carried = list(services)
    voice = bool(carried) and all(_is_voice(rules, name) for name in carried)
    size = min(lines.bit_length(), _SIZES - 1)
    rank = ((place * 2 + (not voice)) * 2 + (not only_way)) * _SIZES + (_SIZES - 1 - size)
    told = (
        (NeedReason.TIER, place < len(rules.tiers)),
        (NeedReason.VOICE, voice),
        (NeedReason.ONLY_WAY, only_way),
        (NeedReason.LARGE, lines > 1),
    )
    return Need(rank=rank, because=tuple(reason for reason, holds in told if holds))


def _place(rules: NeedRules, tier: str) -> int:
    return rules.tiers.index(tier) if tier in rules.tiers else len(rules.tiers)


def _is_voice(rules: NeedRules, name: str) -> bool:
    words = "".join(char if char.isalnum() else " " for char in name.casefold()).split()
    return any(word in words for word in rules.voice)
