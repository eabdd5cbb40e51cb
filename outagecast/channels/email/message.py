"""The bytes of a mail (RFC 2045 to 2047, 2231, 3834, 5322, 8058), written directly.

`email.message.EmailMessage` needs 4 ms for what takes 50 µs here, and 7 where the mail came out of a form (forms.py);
property tests hold these bytes against the stdlib's reading of them. Everything is 7 bit with lines of at most 998
octets, so that it is valid for every server and no relay has to recode it, which would break a DKIM signature. The one
exception is an address that itself needs SMTPUTF8.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from hashlib import blake2b
from urllib.parse import quote

import idna

from outagecast.channels.email.forms import FormCoder
from outagecast.domain.message import Attachment, EmailMessage

MAX_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 §2.1.1)."""
_WORD_BYTES = 42
"""UTF-8 octets in one encoded word: 56 base64 characters and 12 of frame stay below 78 behind `Subject: `."""
_MOST_SHARED = 64

_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_DOT_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_UTF8_LOCAL = re.compile(r"[^\s\x00-\x20\x7f-\x9f()<>@,;:\\\"\[\]]+")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f.:IPv]+\]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]+")
_MSG_ID = re.compile(r"[!-;=?-~]+")
_URL = re.compile(r"[!-;=?-~]+")
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; ?[A-Za-z0-9_-]+=[A-Za-z0-9_.-]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """An address as it goes onto the wire. `needs_utf8`: only an SMTPUTF8 server can take it (RFC 6531)."""

    name: str
    address: str
    needs_utf8: bool

    @property
    def header(self) -> str:
        """`"Name" <address>` for From and To, folded."""
        if not self.name:
            return self.address
        return f"{_phrase(self.name)} <{self.address}>"


def mailbox(address: str, name: str = "") -> Mailbox:
    """A mailbox of `local@domain`; an international domain becomes punycode (IDNA 2008). ValueError when it is none."""
    _refuse_breaks("the name", name)
    local, at, domain = address.rpartition("@")
    if not at or not local or len(address) > 254:
        raise ValueError(f"not an e-mail address: {_shown(address)}")
    needs_utf8 = not local.isascii()
    form = _UTF8_LOCAL if needs_utf8 else _DOT_ATOM
    if not form.fullmatch(local) and not (local[0] == '"' and _QUOTED_LOCAL.fullmatch(local)):
        raise ValueError(f"not an e-mail address: {_shown(address)}")
    if not domain.isascii():
        domain = _punycode(domain)
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"not an e-mail address: {_shown(address)}")
    name = name.strip()
    local.encode()  # a lone surrogate is a ValueError here rather than on the wire
    return Mailbox(name=name, address=f"{local}@{domain}", needs_utf8=needs_utf8)


def sender_mailbox(sender: str) -> Mailbox:
    """The mailbox of `Name <local@domain>` or of a bare address. ValueError when it is neither."""
    _refuse_breaks("from", sender)
    # Not email.utils.parseaddr: it takes the comma of `Acme, Inc. <a@b.net>` for the end of an address.
    name, bracket, address = sender.strip().rpartition("<")
    if bracket and not address.endswith(">"):
        raise ValueError(f"not a sender: {_shown(sender)}")
    box = mailbox(address.removesuffix(">"), name.strip().strip('"'))
    if box.needs_utf8:
        raise ValueError(f"the sender's address must be ASCII left of the @: {_shown(address)}")
    return box


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A mail as DATA takes it: dot-stuffed, with the final dot. `size`: without both, as SIZE counts it (RFC 1870)."""

    octets: bytes
    size: int


class MessageWriter:
    """Turns messages into bytes for one sender. What is the same in each of them is encoded once."""

    def __init__(self, sender: Mailbox, *, unsubscribe_mailto: str = "") -> None:
        """`unsubscribe_mailto`: a bare address that takes unsubscriptions by mail, beside the one-click link."""
        self.sender = sender
        domain = sender.address.rpartition("@")[2]
        self._mailto = f", <mailto:{mailbox(unsubscribe_mailto).address}>" if unsubscribe_mailto else ""
        # Feedback-ID (Gmail's feedback loop): its last field names the sender in 5 to 15 characters, always the same.
        self._feedback = f"{domain}:outagecast:{blake2b(domain.encode(), digest_size=5).hexdigest()}"
        self._fixed = (
            f"From: {sender.header}\r\n"
            "MIME-Version: 1.0\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "X-Auto-Response-Suppress: All\r\n"
        )
        self._shared: dict[tuple[datetime, str, str, str], _Shared] = {}
        self._forms = FormCoder()

    def write(self, message: EmailMessage, to: Mailbox) -> bytes:
        """The whole mail, lines ended by CRLF, not dot-stuffed. ValueError when a header cannot be what it says."""
        body = self._short_way(message)
        headers = self._headers(message, to)
        return headers.encode() + (body.encode() if body is not None else _content(message))

    def content(self, message: EmailMessage, to: Mailbox) -> Content:
        """The same for DATA."""
        body = self._short_way(message)
        if body is None:
            octets = self._headers(message, to).encode() + _content(message)
            return Content(octets=stuffed(octets), size=len(octets))
        octets = f"{self._headers(message, to)}{body}.\r\n".encode()
        return Content(octets=octets, size=len(octets) - 3)

    def _short_way(self, message: EmailMessage) -> str | None:
        """The body of a mail that came out of a form; None where it is to be encoded as a whole."""
        return None if message.filled is None or message.attachments else self._forms.body(message.filled)

    def _headers(self, message: EmailMessage, to: Mailbox) -> str:
        """All headers up to Content-Type; none of their lines begins with a dot."""
        _check(message)
        shared = self._shared_by(message)
        return (
            f"{self._fixed}To: {to.header}\r\n"
            f"Subject: {_text(message.subject, first=9)}\r\n"
            f"{shared.date}Message-ID: <{message.message_id}>\r\n"
            f"{_thread(message.references)}"
            f"{shared.list_id}{self._unsubscribe(message.unsubscribe_url)}{shared.rest}"
        )

    def _shared_by(self, message: EmailMessage) -> "_Shared":
        """The headers that a whole wave has in common: the date alone takes 3 µs."""
        key = (message.date, message.list_id, message.language, message.kind)
        found = self._shared.get(key)
        # Moments in several zones may be equal, but are not written alike.
        if found is not None and found.date_of is message.date:
            return found
        _check_shared(message)
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        made = self._shared[key] = _Shared(
            date_of=message.date,
            date=f"Date: {format_datetime(message.date)}\r\n",
            list_id=f"List-Id: <{message.list_id.strip('<>')}>\r\n",
            rest=f"Content-Language: {message.language}\r\nFeedback-ID: {message.kind}:{self._feedback}\r\n",
        )
        return made

    def _unsubscribe(self, url: str) -> str:
        if not url:
            return ""
        return f"List-Unsubscribe: <{url}>{self._mailto}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def stuffed(content: bytes) -> bytes:
    """The content with every line that begins with a dot given a second one, and the final dot (RFC 5321 §4.5.2)."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """Whole header lines, checked. `date_of`: the very moment the date was made of."""

    date_of: datetime
    date: str
    list_id: str
    rest: str


def _check(message: EmailMessage) -> None:
    """What each mail has of its own; the forms hold no line break."""
    _refuse_breaks("subject", message.subject)
    _require("message_id", message.message_id, _MSG_ID)
    if message.unsubscribe_url:
        _require("unsubscribe_url", message.unsubscribe_url, _URL)
    for reference in message.references:
        _require("references", reference, _MSG_ID)


def _check_shared(message: EmailMessage) -> None:
    if message.date.tzinfo is None:
        raise ValueError("date: it has no time zone")
    _require("list_id", message.list_id.strip("<>"), _MSG_ID)
    _require("language", message.language, _TOKEN)
    _require("kind", message.kind, _TOKEN)


def _require(name: str, value: str, form: re.Pattern[str]) -> None:
    if len(value) > 900 or not form.fullmatch(value):
        raise ValueError(f"{name}: {_shown(value)} cannot stand in a header")


def _refuse_breaks(name: str, value: str) -> None:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"{name}: {_shown(value)} holds a line break or NUL")


def _shown(value: str) -> str:
    return ascii(value if len(value) <= 80 else value[:80] + "…")


def _punycode(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"not a domain: {_shown(domain)} ({error})") from error


def _thread(references: tuple[str, ...]) -> str:
    if not references:
        return ""
    chain = "\r\n ".join([f"<{reference}>" for reference in references])
    return f"In-Reply-To: <{references[-1]}>\r\nReferences: {chain}\r\n"


def _phrase(name: str) -> str:
    """A display name: quoted where ASCII allows, else encoded words, which must not stand inside quotes."""
    if len(name) <= 60 and name.isascii() and name.isprintable() and "=?" not in name and name == name.strip():
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return _encoded_words(name)


def _text(text: str, *, first: int) -> str:
    """An unstructured header's value, folded; `first` is how much of the first line its name takes."""
    plain = text.isascii() and text.isprintable() and "=?" not in text and text == text.strip()
    if plain and len(text) <= 78 - first:
        return text
    if plain and "  " not in text and max(map(len, text.split(" "))) <= 77:
        return _folded(text, first)
    return _encoded_words(text)


def _folded(text: str, first: int) -> str:
    lines, used = [""], first
    for word in text.split(" "):
        if lines[-1] and used + 1 + len(word) > 78:
            lines.append(word)
            used = 1 + len(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
            used += 1 + len(word)
    return "\r\n ".join(lines)


def _encoded_words(text: str) -> str:
    """RFC 2047 words in UTF-8 and base64, split between characters."""
    octets = text.encode()
    words, start = [], 0
    while start < len(octets):
        end = min(start + _WORD_BYTES, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{binascii.b2a_base64(octets[start:end], newline=False).decode('ascii')}?=")
        start = end
    return "\r\n ".join(words)


def _content(message: EmailMessage) -> bytes:
    """The headers from Content-Type on, the empty line and the body."""
    text = _text_part(b"plain", message.text)
    if not message.html and not message.attachments:
        return text if text.endswith(b"\r\n") else text + b"\r\n"
    html = _text_part(b"html", message.html) if message.html else b""
    boundary = _boundary(message.message_id, text, html)
    body = _multipart(b"alternative", b"=_a_" + boundary, (text, html)) if html else text
    if not message.attachments:
        return body
    return _multipart(b"mixed", b"=_m_" + boundary, (body, *map(_attachment, message.attachments)))


def _boundary(message_id: str, *parts: bytes) -> bytes:
    """The same for every try of a message. Only a part sent as 7bit could hold it; then another is taken."""
    seed = message_id.encode()
    while True:
        boundary = blake2b(seed, digest_size=12).hexdigest().encode()
        if not any(boundary in part for part in parts):
            return boundary
        seed = boundary


def _multipart(kind: bytes, boundary: bytes, parts: tuple[bytes, ...]) -> bytes:
    between = b"\r\n--" + boundary + b"\r\n"
    head = b"Content-Type: multipart/" + kind + b';\r\n boundary="' + boundary + b'"\r\n'
    return head + between + between.join(parts) + b"\r\n--" + boundary + b"--\r\n"


def _text_part(subtype: bytes, text: str) -> bytes:
    """Headers and body of a text part; the body is exactly the text, its line ends CRLF."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    octets = text.replace("\n", "\r\n").encode()
    encoding, body = _transfer(octets)
    return (
        b"Content-Type: text/" + subtype + b"; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    ) + body


def _transfer(octets: bytes) -> tuple[bytes, bytes]:
    """7bit where it is allowed, else the shorter of quoted-printable and base64 by a rough count."""
    odd = len(octets.translate(None, _PLAIN))
    if odd == 0 and (len(octets) <= MAX_LINE or max(map(len, octets.split(b"\r\n"))) <= MAX_LINE):
        return b"7bit", octets
    if odd * 6 > len(octets):
        return b"base64", _base64(octets)
    # b2a_qp takes its line ends from the first one it sees: one is lent to it, so that soft breaks are CRLF as well.
    return b"quoted-printable", binascii.b2a_qp(octets + b"\r\n")[:-2]


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


def _attachment(attachment: Attachment) -> bytes:
    _require("content_type", attachment.content_type, _MEDIA)
    name = quote(attachment.filename, safe="", errors="strict")
    if not attachment.filename.strip() or len(name) > 900 or not attachment.filename.isprintable():
        raise ValueError(f"filename: {_shown(attachment.filename)} cannot stand in a header")
    # White space at the ends or in a row is squeezed by readers, unless it is encoded.
    plain = name.replace("%20", " ") == " ".join(attachment.filename.split())
    parameter = f'filename="{attachment.filename}"' if plain else f"filename*=utf-8''{name}"
    return (
        f"Content-Type: {attachment.content_type}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {parameter}\r\n\r\n"
    ).encode() + _base64(attachment.content)
