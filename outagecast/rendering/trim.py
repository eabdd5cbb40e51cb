"""What people typed, made fit for one line and one length."""

from outagecast.domain.sms import strip_controls


def one_line(text: str) -> str:
    """A name as one line: no control or direction characters, single blanks."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(strip_controls(text).split())


def cut(text: str, length: int, mark: str) -> str:
    """The text, shortened to `length` characters with `mark` in place of the rest."""
    return text if len(text) <= length else text[: max(0, length - len(mark))].rstrip() + mark
