"""The body of a mail that was filled into a form: what a wave has in common is encoded once, the rest each time.

Quoted-printable may break a line anywhere (RFC 2045 §6.7), so soft breaks stand before and after a reader's words. Each
piece is then encoded by itself, no line exceeds 76 characters, and what is decoded is the text to the letter. No line
begins with a dot: there is nothing to stuff, and looking for it in a whole mail would cost half of what this does.
"""

import binascii
from dataclasses import dataclass
from hashlib import blake2b

from outagecast.domain.message import Filled, MailForm, Pieces

_MOST = 128
"""Forms remembered, about 16 kB each. A wave needs one for each zone and kind of line."""
_SHORT = 75
"""Characters of a line beside the soft break that ends it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sheet:
    """A whole body with the holes at its odd places, filled by these of the reader's words and of the escaped ones."""

    parts: tuple[str, ...]
    text_order: tuple[int, ...]
    html_order: tuple[int, ...]


class FormCoder:
    """Encodes filled forms; remembers the forms it has seen last."""

    def __init__(self) -> None:
        self._sheets: dict[MailForm, _Sheet | None] = {}

    def body(self, filled: Filled) -> str | None:
        """All from Content-Type on, in ASCII, none of its lines beginning with a dot; it ends with CRLF.

        None where it is to be encoded as a whole: base64 would be shorter, or line breaks are not where they should be.
        ValueError for a lone surrogate.
        """
        try:
            sheet = self._sheets[filled.form]
        except KeyError:
            sheet = self._remember(filled.form)
        if sheet is None:
            return None
        words = [_words(value) for value in filled.values]
        escaped = words
        if filled.html_values is not filled.values:
            escaped = [
                word if value == plain else _words(value)
                for word, plain, value in zip(words, filled.values, filled.html_values, strict=True)
            ]
        if None in words or None in escaped:
            return None
        parts: list[str | None] = [*sheet.parts]
        parts[1::2] = [words[i] for i in sheet.text_order] + [escaped[i] for i in sheet.html_order]
        return "".join(parts)  # type: ignore[arg-type]

    def _remember(self, form: MailForm) -> _Sheet | None:
        if len(self._sheets) >= _MOST:
            del self._sheets[next(iter(self._sheets))]
        sheet = self._sheets[form] = _sheet(form)
        return sheet


def _sheet(form: MailForm) -> _Sheet | None:
    text, html = _encoded(form.text), _encoded(form.html)
    if text is None or html is None:
        return None
    # Quoted-printable never holds `=_`, so no body can hold this boundary.
    boundary = "=_a_" + blake2b("".join((*text, *html)).encode(), digest_size=12).hexdigest()
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
    text[0] = f"{head}\r\n--{boundary}\r\n{_part('plain')}{text[0]}"
    html[0] = f"{text.pop()}\r\n--{boundary}\r\n{_part('html')}{html[0]}"
    html[-1] += f"\r\n--{boundary}--\r\n"
    # Each piece is followed by a hole; the text's last one and the HTML's first one have become one.
    parts = [part for piece in (*text, *html) for part in (piece, "")][:-1]
    return _Sheet(parts=tuple(parts), text_order=form.text.order, html_order=form.html.order)


def _part(subtype: str) -> str:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"


def _encoded(pieces: Pieces) -> list[str] | None:
    """The pieces in quoted-printable, each up to a line's end; None where that is not the thing to do."""
    whole = "".join(pieces.around)
    octets = whole.encode()
    # A soft break must not be the last thing in a body. Above a sixth of odd octets base64 is shorter.
    if not pieces.around[-1] or "\r" in whole or (len(octets) - len(whole.encode("ascii", "ignore"))) * 6 > len(octets):
        return None
    *pieces_before_holes, last = pieces.around
    return [_up_to_a_line_end(piece) for piece in pieces_before_holes] + [_undotted(_quoted(last))]


def _words(value: str) -> str | None:
    """A reader's words, from a line's beginning to the next one's; None where they break lines themselves."""
    if len(value) <= _SHORT and value.isascii() and value.isprintable() and "=" not in value and value[:1] != ".":
        return f"{value}=\r\n" if value else ""
    return None if "\n" in value or "\r" in value else _up_to_a_line_end(value)


def _up_to_a_line_end(text: str) -> str:
    # With a `=` at its end, which takes three places and cannot stay away, b2a_qp leaves room for the soft break and
    # does not encode a blank before it.
    quoted = _quoted(f"{text}=").removesuffix("=3D")
    return _undotted(quoted if not quoted or quoted.endswith("\r\n") else f"{quoted}=\r\n")


def _quoted(text: str) -> str:
    # b2a_qp takes its line ends from the first one it sees: one is lent to it, so that soft breaks are CRLF as well.
    return binascii.b2a_qp(text.replace("\n", "\r\n").encode() + b"\r\n")[:-2].decode("ascii")


def _undotted(quoted: str) -> str:
    lines: list[str] = []
    for line in quoted.split("\r\n"):
        while line.startswith("."):
            if len(line) <= _SHORT - 1:
                line = f"=2E{line[1:]}"
            else:
                lines.append("=2E=")
                line = line[1:]
        lines.append(line)
    return "\r\n".join(lines)


__all__ = ["FormCoder"]
