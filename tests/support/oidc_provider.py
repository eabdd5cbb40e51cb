"""A small OpenID provider on a loopback socket: discovery, keys, authorize, token; and every way to be wrong.

It keeps to OpenID Connect Core and RFC 7636 by itself (client secret, redirect address, PKCE, a code once), so that a
test that passes here has done its part.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, OctKey, RSAKey

CLIENT, SECRET = "outagecast", "s3cret/with:signs"
PERSON = {"sub": "u-1", "preferred_username": "nora", "email": "nora@example.net", "email_verified": True}


@dataclass(kw_only=True)
class OidcProvider:
    """`person` is who signs in; `bend` changes the claims before they are signed, `alg` how."""

    clock: Callable[[], datetime]
    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {**PERSON, "groups": ["noc"]})
    bend: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    alg: str = "ES256"
    about: dict[str, Any] = field(default_factory=dict)
    """What the discovery document says otherwise."""
    refuses: str = ""
    keys: list[ECKey | RSAKey] = field(default_factory=list)
    signer: ECKey | RSAKey | None = None
    """Whose key signs, where it is not the newest one published."""
    asked: list[dict[str, str]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def rotate(self, kind: str = "EC") -> None:
        """A new key; the old ones are not published any more."""
        about: KeyParameters = {"kid": f"k{len(self.fetched) + len(self.keys) + 1}", "use": "sig"}
        if kind == "EC":
            self.keys, self.alg = [ECKey.generate_key("P-256", about, auto_kid=False)], "ES256"
        else:
            self.keys, self.alg = [RSAKey.generate_key(2048, about, auto_kid=False)], "RS256"

    # --- what it answers ---

    async def discovery(self, request: web.Request) -> web.Response:
        self.fetched.append("discovery")
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        return web.json_response(usual | self.about)

    async def jwks(self, request: web.Request) -> web.Response:
        self.fetched.append("jwks")
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def authorize(self, request: web.Request) -> web.Response:
        """The person signs in at once, and is sent back."""
        asked = dict(request.query)
        self.asked.append(asked)
        if self.refuses:
            back = {"error": self.refuses, "state": asked["state"]}
        else:
            code = f"code-{len(self.asked)}"
            self.codes[code] = asked
            back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    async def token(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text()))
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"] or not _proven(request, form):
            return web.json_response({"error": "invalid_grant"}, status=400)
        if _challenge(form.get("code_verifier", "")) != asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(self.clock().timestamp())
        usual = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        return web.json_response({"token_type": "Bearer", "id_token": self._signed(self.bend(usual | self.person))})

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.alg == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        key = self.signer or self.keys[-1]
        if self.alg == "HS256":
            public = key.as_pem(private=False)
            return jwt.encode({"alg": "HS256", "kid": key.kid}, claims, OctKey.import_key(public), algorithms=["HS256"])
        return jwt.encode({"alg": self.alg, "kid": key.kid}, claims, key)


@asynccontextmanager
async def oidc_provider(clock: Callable[[], datetime]) -> AsyncIterator[OidcProvider]:
    provider = OidcProvider(clock=clock)
    provider.rotate()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/jwks", provider.jwks)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    async with TestServer(app) as server:
        provider.issuer = f"http://127.0.0.1:{server.port}"
        yield provider


def later(claims: dict[str, Any], **by: timedelta) -> dict[str, Any]:
    """The claims with their times moved."""
    return claims | {name: claims[name] + int(length.total_seconds()) for name, length in by.items()}


def _proven(request: web.Request, form: dict[str, str]) -> bool:
    header = request.headers.get("Authorization")
    if header is None:
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
    return header == encode_basic_auth(quote_plus(CLIENT), quote_plus(SECRET))


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
