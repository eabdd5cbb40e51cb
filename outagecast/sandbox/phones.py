"""The customers' phones: what somebody answers, and what the network does with STOP, START and HELP by itself."""

import uuid
import xml.etree.ElementTree as ET

from outagecast.sandbox.callbacks import Callbacks, Write
from outagecast.sandbox.segments import segments
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.store import PHONE, Store

STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"})
START = frozenset({"START", "UNSTOP", "YES"})
HELP = frozenset({"HELP", "INFO"})
REPLIES = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this number. "
    "Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help. "
    "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}


class Phones:
    def __init__(self, settings: SandboxSettings, store: Store, callbacks: Callbacks, write: Write) -> None:
        self._settings = settings
        self._store = store
        self._callbacks = callbacks
        self._write = write

    def opted_out(self, sender: str, phone: str) -> bool:
        return (sender, phone) in self._store.opted_out

    async def answer(self, phone: str, body: str) -> None:
        """The person at `phone` texts `body` to whoever texted last: the network acts on it, then the daemon hears."""
        sender, service = self._last_sender(phone)
        word = _keyword(body)
        sid = "SM" + uuid.uuid4().hex
        self._write("sms_in", {"sid": sid, "from": phone, "to": sender, "body": body, "keyword": word})
        for pair in {sender, service} - {""}:
            if word == "STOP" and not self.opted_out(pair, phone):
                self._write("opt_out", {"sender": pair, "phone": phone})
            elif word == "START" and self.opted_out(pair, phone):
                self._write("opt_in", {"sender": pair, "phone": phone})
        if word:
            self._automatic(sender, phone, REPLIES[word])
        answer = await self._callbacks.inbound(self._fields(sid, phone, sender, service, body, word), sid)
        for text in spoken(answer):
            if not self.opted_out(sender, phone):
                self._automatic(sender, phone, text)

    def _last_sender(self, phone: str) -> tuple[str, str]:
        box = self._store.box(PHONE, phone)
        for item in reversed(box.texts if box is not None else []):
            if item.outbound and not item.automatic:
                return item.sender, item.service
        return self._settings.service_number, ""

    def _automatic(self, sender: str, phone: str, body: str) -> None:
        self._write("sms_auto", {"sid": "SM" + uuid.uuid4().hex, "from": sender, "to": phone, "body": body})

    def _fields(
        self, sid: str, phone: str, sender: str, service: str, body: str, word: str
    ) -> tuple[tuple[str, str], ...]:
        fields = {
            "ToCountry": "US",
            "SmsMessageSid": sid,
            "NumMedia": "0",
            "SmsSid": sid,
            "SmsStatus": "received",
            "Body": body,
            "To": sender,
            "NumSegments": str(segments(body).count),
            "MessageSid": sid,
            "AccountSid": self._settings.account_sid,
            "From": phone,
            "ApiVersion": "2010-04-01",
        }
        if service:
            fields["MessagingServiceSid"] = service
        if word:
            fields["OptOutType"] = word
        return tuple(fields.items())


def spoken(twiml: str) -> list[str]:
    """The texts a TwiML answer asks for: `<Response><Message>…</Message></Response>`; anything else is silence."""
    if len(twiml) > 65536 or "<!" in twiml:  # no DTD, so no entity bombs
        return []
    try:
        root = ET.fromstring(twiml.encode())
    except ET.ParseError:
        return []
    texts = ("".join(each.itertext()).strip() for each in root.iter("Message")) if root.tag == "Response" else ()
    return [text for text in texts if text]


def _keyword(body: str) -> str:
    word = body.strip().upper().rstrip(".!")
    return "STOP" if word in STOP else "START" if word in START else "HELP" if word in HELP else ""
