"""The settings of the daemons that are measured: as shipped, with one channel; everything durable."""

SETTINGS = "bench.toml"
"""The name of the file, in the folder of the database."""
SQLITE = "sqlite:///bench.db"
HOOK_TOKEN = "not-a-secret-hook-token"


def config_text(
    *,
    smtp_port: int | None = None,
    sms_url: str | None = None,
    database: str = SQLITE,
    port: int | None = None,
    hook: bool = False,
) -> str:
    """`port`: of the web server, for a daemon that is run as a program; `hook`: with a monitor called `bench`."""
    text = f"""
[provider]
name = "Bluegrass Fiber"
public_url = "https://status.example.net"
support_phone = "+1 859 555 0100"
timezone = "America/New_York"
[database]
url = "{database}"
"""
    if port is not None:
        text += f"""
[server]
host = "127.0.0.1"
port = {port}
"""
    if hook:
        text += f"""
[[monitors]]
name = "bench"
format = "generic"
token = "{HOOK_TOKEN}"
"""
    if smtp_port is not None:
        text += f"""
[email]
host = "127.0.0.1"
port = {smtp_port}
from = "Bluegrass Fiber <status@example.net>"
connections = 10
"""
    if sms_url is not None:
        text += f"""
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "not-a-secret"
from = "+18595550100"
api_url = "{sms_url}"
rate_per_second = 0
connections = 20
allowed_countries = ["US"]
"""
    return text
