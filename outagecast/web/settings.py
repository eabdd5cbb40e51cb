"""Where the web server listens, whom it believes about the address of a client, and who else may vouch for staff."""

from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from outagecast.domain.outage import Role
from outagecast.settings_base import Settings
from outagecast.settings_types import Host, Line, Network, Port, Secret


class ServerSettings(Settings):
    """`port` 0 takes any free one. `trusted_proxies` may set X-Forwarded-For; nobody else."""

    host: Host = Field(default="127.0.0.1")
    port: Port = 8080
    trusted_proxies: tuple[Network, ...] = ()


def _issuer(text: str) -> str:
    """As the provider writes itself, its last slash and all: tokens are held against it letter by letter."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or " " in text:
        raise ValueError("is not an issuer (copy it from the provider: https://login.example.net)")
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("is not https (whoever stands between could sign in as anybody)")
    return text


def _domain(text: str) -> str:
    plain = text.strip().lower()
    if not plain or any(char in plain for char in "/:@ "):
        raise ValueError('is not a domain (write "example.net")')
    return plain


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is empty (copy it from the provider)")
    return text


class OidcRoles(Settings):
    """Which values of the claim give which role; the highest counts."""

    viewer: tuple[Line, ...] = ()
    operator: tuple[Line, ...] = ()
    approver: tuple[Line, ...] = ()
    admin: tuple[Line, ...] = ()

    def role_of(self, values: Iterable[str]) -> Role | None:
        """None for whom nothing gives a role: there is no usual one."""
        given = set(values)
        ladder = ((Role.ADMIN, self.admin), (Role.APPROVER, self.approver), (Role.OPERATOR, self.operator))
        return next((role for role, named in (*ladder, (Role.VIEWER, self.viewer)) if given & set(named)), None)


class OidcSettings(Settings):
    """An OpenID provider that staff may sign in by. `role_claim` may be a path (`realm_access.roles`); whom it gives
    none of `roles` stays out. Without a `client_secret` we are a public client: PKCE alone proves who asks.
    """

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(examples=['"https://login.example.net"'])
    client_id: Annotated[Line, AfterValidator(_filled)] = Field(examples=['"outagecast"'])
    client_secret: Secret = SecretStr("")
    name: Line = "single sign-on"
    """What the button on the sign-in page says after "Sign in with"."""
    scopes: Line = "openid profile email"
    role_claim: Annotated[Line, AfterValidator(_filled)] = "groups"
    roles: OidcRoles = OidcRoles()
    allowed_domains: tuple[Annotated[str, AfterValidator(_domain)], ...] = ()
    """Whose verified address is of another domain stays out; empty: any."""
