"""Under which words a thing of the inventory is found: the same folding for what is kept and for what is typed.

A term is a phrase in lower case without accents, words with one blank between. A name is kept from each of its words
on ("acme steel works", "steel works", "works"), so that a phrase anywhere in it is found by one range of an index.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST = 60
"""Characters of a term that are kept: nobody types more to tell two things apart."""
MOST_WORDS = 8
"""Words of one name from which it is found."""
_ASCII = re.compile("[a-z0-9]+")
_WORD = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """`Café POP-LEX` as "cafe pop lex"; "" for what holds neither letters nor digits."""
    if text.isascii():
        return " ".join(_ASCII.findall(text.lower()))
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join(_WORD.findall(plain.casefold()))


def name_terms(*texts: str) -> set[str]:
    """The terms of a thing with few siblings (an element, a customer): its id and its names, from each word on."""
    return {term for text in texts for term in _from_each_word(folded(text))}


def label_term(label: str) -> str:
    """The one term of a circuit's label. There are a million circuits, and their ids have an index of their own."""
    return folded(label)[:LONGEST]


def place_term(place: str) -> str:
    """The one term of a circuit's place, found by its street and by its number: see `turned`."""
    return turned(folded(place))[:LONGEST]


def phone_term(number: str) -> str:
    """A phone number backwards, so that its last digits find it, however much of it somebody knows."""
    return "".join(filter(str.isdecimal, number))[::-1]


def turned(term: str) -> str:
    """A folded street with its number behind: `12 mill st` as "mill st 12"; all else as it is."""
    number, _, street = term.partition(" ")
    return f"{street} {number}" if street and number[0].isdecimal() else term


def holds(terms: Iterable[str], words: Iterable[str]) -> bool:
    """Whether each of some folded words begins a word of these texts (folded here)."""
    have = [word for text in terms for word in folded(text).split()]
    return all(any(known.startswith(word) for known in have) for word in words)


def _from_each_word(term: str) -> Iterator[str]:
    for _ in range(MOST_WORDS):
        if not term:
            return
        yield term[:LONGEST]
        term = term.partition(" ")[2]
