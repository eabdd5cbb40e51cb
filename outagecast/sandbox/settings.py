"""What a sandbox can be told when it starts."""

import ssl
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ACCOUNT_SID = "AC5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c"
DEFAULT_AUTH_TOKEN = "sandbox-auth-token"


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxSettings:
    """Ports are 0 for "any free one". Without `state_dir` the log is in a temporary folder and goes with the process.

    `sms_port` is a second door that serves the gateway only, so that "refuse connections" can be played for SMS while
    the control API stays reachable; None leaves it out. `people` is a folder with contacts.csv and customers.csv: names
    for the inbox. Delays are real seconds after the message was taken. Without `smtp_user` nobody needs to log in.
    """

    host: str = "127.0.0.1"
    smtp_port: int = 0
    http_port: int = 0
    sms_port: int | None = None
    state_dir: Path | None = None
    people: Path | None = None
    timezone: str = "UTC"
    account_sid: str = DEFAULT_ACCOUNT_SID
    auth_token: str = DEFAULT_AUTH_TOKEN
    service_number: str = "+18595550100"
    inbound_url: str = ""
    sent_after: float = 0.3
    delivered_after: float = 1.5
    callback_tries: int = 3
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_tls: ssl.SSLContext | None = None
    smtp_tls_at_once: bool = False
    size_limit: int = 10 * 1024 * 1024
    seed: int = 1
