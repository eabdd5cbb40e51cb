"""Takes out the blank lines that `if` and `for` leave behind."""

import re

_TRAILING = re.compile(r"[ \t]+\n")
_GAPS = re.compile(r"\n{3,}")
_BLANK_ROWS = re.compile(r"\n\s*\n+")


def tidy_text(text: str) -> str:
    """No blank at a line's end, no two empty lines in a row, one line end at the end."""
    return _GAPS.sub("\n\n", _TRAILING.sub("\n", text)).strip("\n") + "\n"


def tidy_html(html: str) -> str:
    return _BLANK_ROWS.sub("\n", html).strip() + "\n"
