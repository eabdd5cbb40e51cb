"""Opaque names derived from one secret: link tokens, Message-IDs. Nothing has to be stored, nothing can be guessed."""

import base64
import hmac

_MAC_BYTES = 11
_ID_BYTES = 5
"""Five bytes of number and eleven of MAC (88 bits) are 16 bytes: 22 characters, short enough for a text."""


class Links:
    """Makes and reads tokens; `secret` is the database's own (32 bytes), `domain` the right side of Message-IDs."""

    def __init__(self, secret: bytes, public_url: str, domain: str) -> None:
        self._secret = secret
        self._url = public_url.rstrip("/")
        self._domain = domain
        self._last = (0, self._token(0))

    def my(self, address_ref: int) -> str:
        """The page of whoever reads mail or texts at this address."""
        return f"{self._url}/my/{self.token(address_ref)}"

    def unsubscribe(self, address_ref: int) -> str:
        """The one-click way out (RFC 8058)."""
        return f"{self._url}/unsubscribe/{self.token(address_ref)}"

    def token(self, address_ref: int) -> str:
        """22 characters that stand for an address."""
        last = self._last  # a message asks for its address's twice
        if last[0] != address_ref:
            last = self._last = (address_ref, self._token(address_ref))
        return last[1]

    def _token(self, address_ref: int) -> str:
        number = address_ref.to_bytes(_ID_BYTES, "big")
        return base64.urlsafe_b64encode(number + self._mac(b"address", number)[:_MAC_BYTES]).rstrip(b"=").decode()

    def read(self, token: str) -> int | None:
        """The address a token stands for; None if it is not one of ours."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        if len(raw) != _ID_BYTES + _MAC_BYTES or len(token) != 22:
            return None
        number, mac = raw[:_ID_BYTES], raw[_ID_BYTES:]
        if not hmac.compare_digest(mac, self._mac(b"address", number)[:_MAC_BYTES]):
            return None
        return int.from_bytes(number, "big")

    def thread_id(self, outage_id: str, address_ref: int) -> str:
        """The Message-ID of the first mail about an outage to an address: what the others refer to."""
        return self._message_id(f"thread|{outage_id}|{address_ref}")

    def message_id(self, outage_id: str, episode: int, address_ref: int, kind: str, revision: int) -> str:
        """A stable Message-ID holding 128 bits of the delivery's key: a retry has the same one, so that receivers
        can tell.
        """
        return self._message_id(f"{outage_id}|{episode}|{address_ref}|{kind}|{revision}")

    def _message_id(self, key: str) -> str:
        return f"oc.{self._mac(b'message', key.encode())[:16].hex()}@{self._domain}"

    def _mac(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + data, "sha256")
