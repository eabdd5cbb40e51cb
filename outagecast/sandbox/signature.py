"""X-Twilio-Signature, from Twilio's published description ("Validating requests"), on its own.

base64(HMAC-SHA1(auth token, URL + for each key in order, for each of its distinct values in order: key + value)).
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def sign(auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """The signature of a form POST of `fields` to exactly this URL."""
    text = url + "".join(key + value for key, value in sorted(set(fields)))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
