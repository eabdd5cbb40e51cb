"""The mail that every peer sends: the very words of one of the product's own, with the personal ones left open.

So all have the same text and HTML to carry, and each puts the name and the number of its recipient into them with the
means that are natural to it. How many octets that becomes on the wire is for each program to say.
"""

import json
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

NAME, NUMBER = "@@NAME@@", "@@NUMBER@@"
"""What stands in for the recipient's name and number; each peer writes its own placeholders there."""
SENDER = "status@example.net"


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    subject: str
    text: str
    html: str

    def with_places(self, name: str, number: str) -> "Letter":
        """The same letter with other placeholders: `{{ name }}` for one peer, `${name}` for the next."""
        return Letter(
            **{key: str(words).replace(NAME, name).replace(NUMBER, number) for key, words in asdict(self).items()}
        )

    def write(self, path: Path, **more: object) -> None:
        """As JSON, for a program in another language or environment."""
        path.write_text(json.dumps(asdict(self) | more))


def read_letter(raw: bytes, *, name: str, number: str) -> Letter:
    """Out of a mail as it came over the wire, made for this name and number. ValueError where they do not occur."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    found = [message.get_body((kind,)) for kind in ("plain", "html")]
    text, html = (part.get_content() if part is not None else "" for part in found)
    if name not in text or number not in text or not html:
        raise ValueError("this is not a personalised mail with text and HTML")
    return Letter(
        subject=str(message["Subject"]),
        **{kind: words.replace(name, NAME).replace(number, NUMBER) for kind, words in (("text", text), ("html", html))},
    )
