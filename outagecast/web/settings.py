"""Where the web server listens, and whom it believes about the address of a client."""

from pydantic import Field

from outagecast.settings_base import Settings
from outagecast.settings_types import Host, Network, Port


class ServerSettings(Settings):
    """`port` 0 takes any free one. `trusted_proxies` may set X-Forwarded-For; nobody else."""

    host: Host = Field(default="127.0.0.1")
    port: Port = 8080
    trusted_proxies: tuple[Network, ...] = ()
