"""QR codes as inline SVG: made here, so that a key goes nowhere else to become a picture."""

import segno
from markupsafe import Markup

_QUIET_MODULES = 4
"""The empty border that readers need (ISO/IEC 18004)."""


def qr_code(text: str) -> Markup:
    """An <svg> without scripts or styles; dark on light in every colour scheme, because readers need that."""
    picture = segno.make(text, error="m", micro=False)
    drawn = picture.svg_inline(
        scale=1, border=_QUIET_MODULES, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    # segno writes only numbers and its own attributes: nothing of the text stands in the picture as text.
    return Markup(drawn)
