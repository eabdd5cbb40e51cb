"""Signing in by an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

Everything the provider says is held against what we asked: issuer, audience, authorised party, nonce, times, and a
signature by one of its present keys with an asymmetric algorithm. What does not hold is refused with its reason in the
log, and none on the page.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from outagecast.domain.errors import Forbidden
from outagecast.domain.strict_json import parse_json
from outagecast.engine.identities import Vouched
from outagecast.web.settings import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
"""Signatures that only the provider can make: neither `none` nor one with our own secret."""
LEEWAY = timedelta(seconds=60)
OLDEST_TOKEN = timedelta(minutes=10)
KNOWN_FOR = timedelta(hours=1)
"""How long its discovery document and keys hold; a key that is not among them is looked for anew …"""
LOOK_AGAIN_AFTER = timedelta(seconds=30)
"""… but not more often than so."""
LARGEST_ANSWER = 256 * 1024
_TIMEOUT = ClientTimeout(total=10)
log = logging.getLogger("outagecast.web.oidc")


class OidcRefused(Forbidden):
    """Not signed in. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("the sign-in at the other side did not come back as it should: begin anew, or ask an admin")
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A sign-in under way: what has to come back."""

    state: str
    nonce: str
    verifier: str


class OidcClient:
    """One provider. `callback` is our own address, registered there."""

    def __init__(self, settings: OidcSettings, *, callback: str, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._callback = callback
        self._clock = clock
        self._about: Mapping[str, Any] = {}
        self._about_at = datetime.min.replace(tzinfo=UTC)
        self._keys = KeySet([])
        self._keys_at = datetime.min.replace(tzinfo=UTC)

    @property
    def name(self) -> str:
        return self._settings.name

    async def way_there(self, pending: Pending) -> str:
        """Where the browser goes to sign in."""
        about = await self._discover()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._callback,
            "scope": self._settings.scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        there = str(about["authorization_endpoint"])
        return f"{there}{'&' if urlsplit(there).query else '?'}{urlencode(asked)}"

    async def vouched(self, pending: Pending, answer: Mapping[str, str]) -> Vouched:
        """Whom the provider's answer stands for. OidcRefused."""
        issuer = answer.get("iss", self._settings.issuer)
        if issuer != self._settings.issuer:
            raise OidcRefused("the answer comes from another issuer")
        if "error" in answer or not answer.get("code"):
            raise OidcRefused(f"the provider says {answer.get('error', 'nothing')[:60]!r}")
        token = await self._exchange(answer["code"], pending.verifier)
        claims = await self._verified(token)
        self._check(claims, pending.nonce)
        return self._whom(claims)

    async def _exchange(self, code: str, verifier: str) -> str:
        about, secret = await self._discover(), self._settings.client_secret.get_secret_value()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": verifier,
        }
        auth = ""
        ways = about.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in ways:
            quoted = (urlencode({"": each})[1:] for each in (self._settings.client_id, secret))
            auth = encode_basic_auth(*quoted)  # RFC 6749, 2.3.1: both form-encoded first
        else:
            form |= {"client_id": self._settings.client_id} | ({"client_secret": secret} if secret else {})
        answer = await self._fetch("POST", str(about["token_endpoint"]), form, auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcRefused("the token endpoint's answer holds no id_token")
        return token

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """The claims, once the signature is found to be the provider's."""
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError) as error:
            raise OidcRefused("the id_token is none") from error
        if header.get("alg") not in ALGORITHMS:
            raise OidcRefused(f"the id_token is signed by {str(header.get('alg'))[:20]!r}")
        keys = await self._key_set(header.get("kid"))
        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError) as error:
            raise OidcRefused(f"the id_token's signature does not hold ({type(error).__name__})") from error

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        """OpenID Connect Core, 3.1.3.7."""
        ours, now = self._settings.client_id, self._clock()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._settings.issuer:
            raise OidcRefused("the id_token is by another issuer")
        if ours not in audiences:
            raise OidcRefused("the id_token is for another client")
        if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != ours:
            raise OidcRefused("the id_token was given to another client")
        if not nonce or claims.get("nonce") != nonce:
            raise OidcRefused("the id_token answers another request")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise OidcRefused("the id_token names nobody")
        if _moment(claims, "exp") + LEEWAY <= now:
            raise OidcRefused("the id_token is expired")
        if not now - OLDEST_TOKEN - LEEWAY <= _moment(claims, "iat") <= now + LEEWAY:
            raise OidcRefused("the id_token is not of now")
        if "nbf" in claims and _moment(claims, "nbf") > now + LEEWAY:
            raise OidcRefused("the id_token does not hold yet")

    def _whom(self, claims: Mapping[str, Any]) -> Vouched:
        address = claims.get("email") if isinstance(claims.get("email"), str) else ""
        verified = claims.get("email_verified") is True
        domains = self._settings.allowed_domains
        if domains and not (verified and str(address).rpartition("@")[2].lower() in domains):
            raise OidcRefused("no verified address of an allowed domain")
        names = (claims.get("preferred_username"), address, claims.get("name"), claims["sub"])
        plain = tuple(name for name in names if isinstance(name, str) and 0 < len(name) <= 60 and name.isprintable())
        return Vouched(
            issuer=self._settings.issuer,
            subject=claims["sub"],
            names=plain or (f"oidc {hashlib.sha256(claims['sub'].encode()).hexdigest()[:12]}",),
            email=str(address),
            role=self._settings.roles.role_of(_values(claims, self._settings.role_claim)),
        )

    async def _discover(self) -> Mapping[str, Any]:
        if self._clock() - self._about_at < KNOWN_FOR:
            return self._about
        base = self._settings.issuer.rstrip("/")
        about = await self._fetch("GET", f"{base}/.well-known/openid-configuration")
        if about.get("issuer") != self._settings.issuer:
            raise OidcRefused("the discovery document is another issuer's")
        safe = "https" if urlsplit(base).scheme == "https" else "http"
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if urlsplit(str(about.get(name, ""))).scheme not in ("https", safe):
                raise OidcRefused(f"the discovery document's {name} is missing, or not https")
        self._about, self._about_at = about, self._clock()
        return about

    async def _key_set(self, kid: object) -> KeySet:
        """Its keys; fetched anew when they are old, or the one asked for is not among them (it changes them)."""
        age = self._clock() - self._keys_at
        unknown = kid is not None and kid not in {key.kid for key in self._keys.keys}
        if age >= KNOWN_FOR or (unknown and age >= LOOK_AGAIN_AFTER):
            found = await self._fetch("GET", str((await self._discover())["jwks_uri"]))
            listed = found.get("keys")
            signing = [
                each
                for each in (listed if isinstance(listed, list) else ())
                if isinstance(each, dict) and each.get("kty") in ("RSA", "EC") and each.get("use", "sig") == "sig"
            ]
            try:
                self._keys = KeySet.import_key_set({"keys": signing})
            except (JoseError, ValueError) as error:
                raise OidcRefused("the provider's keys cannot be read") from error
            self._keys_at = self._clock()
        return self._keys

    async def _fetch(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: str = ""
    ) -> Mapping[str, Any]:
        """A JSON object; no redirects, no proxies of the environment, never more than LARGEST_ANSWER."""
        headers = {"Accept": "application/json"} | ({"Authorization": auth} if auth else {})
        try:
            async with (
                ClientSession(timeout=_TIMEOUT, trust_env=False) as http,
                http.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(LARGEST_ANSWER + 1)
                while len(body) <= LARGEST_ANSWER and (more := await answer.content.read(LARGEST_ANSWER)):
                    body += more
        except (ClientError, TimeoutError) as error:
            raise OidcRefused(f"{urlsplit(url).path} cannot be reached ({type(error).__name__})") from error
        if answer.status != 200 or len(body) > LARGEST_ANSWER:
            raise OidcRefused(f"{urlsplit(url).path} answered {answer.status}")
        try:
            found = parse_json(body.decode())
        except ValueError as error:
            raise OidcRefused(f"{urlsplit(url).path} did not answer JSON") from error
        if not isinstance(found, dict):
            raise OidcRefused(f"{urlsplit(url).path} did not answer an object")
        return found


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise OidcRefused(f"the id_token has no {name}")
    return datetime.fromtimestamp(value, UTC)


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts at a claim, or at a path into claims; a claim that is called like the whole path counts first."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    listed = found if isinstance(found, list) else [found]
    return [each for each in listed if isinstance(each, str)]
