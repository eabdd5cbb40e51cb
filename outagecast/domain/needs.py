"""What a thing needs, as people write it in `depends_on`, and the names by which needs and scopes call things.

`A;B` needs both, `A|B` needs either; `|` binds tighter, so `POP-LEX;LNK-1|LNK-2` is POP-LEX and one of the two links.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class ThingKind(StrEnum):
    """The kinds that can be affected; `need` is one distinct expression, known by its number in storage."""

    ELEMENT = "element"
    SERVICE = "service"
    SITE = "site"
    CIRCUIT = "circuit"
    CUSTOMER = "customer"
    NEED = "need"


# A thing's kind and id in one string, `element:POP-LEX`: half the memory of a tuple of two, times 100,000.
Ref: TypeAlias = str

# An unknown word before a colon belongs to the id (`rtr1:xe-0/0/1`), as ports are often named so.
_NAMEABLE = (ThingKind.ELEMENT, ThingKind.SERVICE, ThingKind.SITE, ThingKind.CIRCUIT)


def ref_of(kind: ThingKind, thing_id: str) -> Ref:
    """The ref of a thing: `ref_of(ThingKind.SITE, "LEX")` is `"site:LEX"`."""
    return f"{kind.value}:{thing_id}"


def split_ref(ref: Ref) -> tuple[ThingKind, str]:
    """The kind and the id of a ref; ValueError if its kind is unknown."""
    kind, _, thing_id = ref.partition(":")
    return ThingKind(kind), thing_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """All of the terms are needed; a term is one ref, or several of which one is enough."""

    terms: tuple[tuple[Ref, ...], ...]

    @property
    def text(self) -> str:
        """The canonical form: two expressions of equal text are the same need. `parse_needs(text)` gives it back."""
        return ";".join("|".join(_shortest(ref) for ref in term) for term in self.terms)


def parse_needs(text: str) -> Need:
    """The need that `text` says: trimmed, what is said twice kept once, otherwise in the order stated.

    ValueError with one clear line if something is missing; whether the things named exist is for the caller to ask.
    """
    if not text.strip():
        raise ValueError("the expression is empty")
    terms: dict[frozenset[Ref], tuple[Ref, ...]] = {}
    for part in text.split(";"):
        term = _parse_term(part, text)
        terms.setdefault(frozenset(term), term)  # `A|B;B|A` says one thing twice
    return Need(terms=tuple(terms.values()))


def refs(need: Need) -> tuple[Ref, ...]:
    """Every thing the need names, once each, in the order stated."""
    return tuple(dict.fromkeys(ref for term in need.terms for ref in term))


def _parse_term(part: str, text: str) -> tuple[Ref, ...]:
    if not part.strip():
        raise ValueError(f'empty need: nothing before, between or after ";" in "{text.strip()}"')
    return tuple(dict.fromkeys(_parse_ref(name, text) for name in part.split("|")))


def _parse_ref(name: str, text: str) -> Ref:
    name = name.strip()
    if not name:
        raise ValueError(f'empty alternative: nothing before, between or after "|" in "{text.strip()}"')
    for kind in _NAMEABLE:
        prefix = f"{kind.value}:"
        if name.startswith(prefix):
            thing_id = name.removeprefix(prefix).strip()
            if not thing_id:
                raise ValueError(f'"{prefix}" names no {kind.value} in "{text.strip()}"')
            return prefix + thing_id
    return ref_of(ThingKind.ELEMENT, name)


def _shortest(ref: Ref) -> str:
    """Elements go bare, unless the bare id would read as another kind (an element called `site:1`)."""
    bare = ref.removeprefix("element:")
    return ref if bare != ref and bare.startswith(tuple(f"{kind.value}:" for kind in _NAMEABLE)) else bare
