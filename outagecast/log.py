"""The log: one line an event, JSON where a program reads it, coloured words on a terminal; personal data masked.

Own and foreign records (aiohttp, sqlalchemy …) take the same way. Rooms only call `structlog.get_logger()`.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET_FIELD = re.compile(
    r"pass(word|wd)|token|secret|authorization|cookie|signature|routing_key|api_?key|credential|session", re.IGNORECASE
)
_WORDS_FIELDS = frozenset({"body", "subject", "text", "html", "contact", "contact_name", "to_name"})
"""What customers read, and who they are: never in the log, whatever it says."""
_HIDDEN = "***"
_LONGEST = 2000
"""Characters of one value: a payload in an exception must not fill the disk."""
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*")
# International numbers, with the blanks, dots, dashes and brackets that people put in.
_PHONE = re.compile(r"(?<!\w)(?:\+|%2B)\d(?:[\s().-]{0,2}\d){6,14}(?!\d)", re.ASCII | re.IGNORECASE)
_CREDENTIAL = re.compile(r"\b(Bearer|Basic|GenieKey|Token)(\s+|=)[\w.~+/=:-]{6,}", re.IGNORECASE | re.ASCII)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
# What follows in these paths is a capability: whoever reads it can use it.
_CAPABILITY = re.compile(r"(/(?:my|unsubscribe)/)[\w~.=-]+", re.ASCII)
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+|(?<=[\s\"'])/[^\s?\"'<>]*)\?[^\s\"'<>]+")
# A line break in a stranger's text would forge a line of the log; an escape would paint the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def set_up_logging(stream: TextIO, *, level: str = "info", as_json: bool | None = None) -> None:
    """Send all records to `stream`: JSON unless it is a terminal. Called once, at the start."""
    plain = not stream.isatty() if as_json is None else as_json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        redact,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(plain)],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("apscheduler").setLevel("WARNING")  # it tells of every tick, several a second
    logging.captureWarnings(True)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: secrets and words gone, phones and addresses masked, control characters spelt out.

    The exception's text keeps its line breaks under a key of its own; JSON escapes them, a terminal may show them.
    """
    return {key: value if key.startswith("_") else _field(key, value) for key, value in event.items()}


def mask_phone(number: str) -> str:
    """`+18595550100` as `+18***100`: enough to find a row by, too little to call."""
    digits = re.sub(r"\D", "", number)
    return f"+{digits[:2]}***{digits[-3:]}"


def mask_email(address: str) -> str:
    """An address as `email:` and eight hex digits of its hash: the same address gives the same word."""
    return "email:" + hashlib.sha256(address.lower().encode()).hexdigest()[:8]


def mask_text(text: str) -> str:
    """One line with whatever looks like a credential, a phone or an address masked."""
    text = _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", text[:_LONGEST])
    text = _CREDENTIAL.sub(rf"\1\2{_HIDDEN}", text)
    text = _CAPABILITY.sub(rf"\1{_HIDDEN}", text)
    text = _QUERY.sub(rf"\1?{_HIDDEN}", text)
    text = _EMAIL.sub(lambda found: found[0] if found[0].startswith(f"{_HIDDEN}@") else mask_email(found[0]), text)
    return _PHONE.sub(lambda found: mask_phone(found[0].replace("%2B", "")), text)


def _field(key: str, value: object) -> object:
    if _SECRET_FIELD.search(key) or key in _WORDS_FIELDS:
        return _HIDDEN
    if key in ("exception", "stack") and isinstance(value, str):
        return "\n".join(_spelt_out(mask_text(line)) for line in value.splitlines())
    return _value(value)


def _value(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _field(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_value(inner) for inner in value]
        case _:
            return _spelt_out(mask_text(str(value)))


def _spelt_out(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _rendered(plain: bool) -> list[Processor]:
    if plain:
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [structlog.dev.ConsoleRenderer()]
