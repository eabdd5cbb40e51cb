"""How badly off a thing is: the impact words of the NANOG BCOP for maintenance notes, as an order."""

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Worse is larger, so that `max` is "the worst of" and `min` "the best of"."""

    NO_IMPACT = 0
    REDUCED_REDUNDANCY = 1
    DEGRADED = 2
    OUTAGE = 3

    @property
    def word(self) -> str:
        """The word in files, API and database: `outage`, `degraded`, `reduced_redundancy`, `no_impact`."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Level":
        """The level of a word; KeyError if there is none."""
        return cls[word.upper()]


class Effect(StrEnum):
    """What a declaration says about the things it names."""

    OUTAGE = "outage"
    DEGRADED = "degraded"
    AT_RISK = "at_risk"

    @property
    def level(self) -> Level:
        match self:
            case Effect.OUTAGE:
                return Level.OUTAGE
            case Effect.DEGRADED:
                return Level.DEGRADED
            case Effect.AT_RISK:
                return Level.REDUCED_REDUNDANCY
