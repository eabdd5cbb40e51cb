"""Writes the styles into the elements of an HTML template, once, before it is compiled.

Mail programs drop style sheets, and inlining costs 40 µs: too much for each message, nothing for each template. The
template's own tags are put away first as comments (between elements) or as private-use characters (in text and
attributes), which an HTML parser leaves as they are. A loop over table rows needs its `<tbody>` written out, else the
parser adds one.
"""

import re

import css_inline

_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_AWAY = re.compile(r"(?:<!--)?\ue000(\d+)\ue001(?:-->)?")
_DOCUMENT = re.compile(r"\s*<!doctype", re.IGNORECASE)


def inline_styles(source: str, css: str) -> str:
    """The template with the styles in its elements; whole documents keep their own `<style>` (dark mode)."""
    tags: list[str] = []
    plain = _put_away(source, tags)
    if _DOCUMENT.match(source):
        inliner = css_inline.CSSInliner(extra_css=css, keep_style_tags=True, load_remote_stylesheets=False)
        styled = inliner.inline(plain)
    else:
        inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
        styled = inliner.inline_fragment(plain, css)
    return _AWAY.sub(lambda found: tags[int(found[1])], styled)


def _put_away(source: str, tags: list[str]) -> str:
    parts: list[str] = []
    end, inside = 0, False
    for found in _TAG.finditer(source):
        before = source[end : found.start()]
        parts.append(before)
        opened, closed = before.rfind("<"), before.rfind(">")
        inside = opened > closed if max(opened, closed) >= 0 else inside
        tags.append(found[0])
        token = f"\ue000{len(tags) - 1}\ue001"
        parts.append(token if inside or found[0].startswith("{{") else f"<!--{token}-->")
        end = found.end()
    return "".join((*parts, source[end:]))
