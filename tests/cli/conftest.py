"""Commands run in this process, on settings and a database of their own."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from outagecast.cli import main
from outagecast.sandbox.provider import write_provider

CONFIG = """\
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
timezone = "America/New_York"
support_phone = "+1 859 555 0100"

[email]
host = "127.0.0.1"
port = 9
from = "Bluegrass Fiber <status@example.net>"

[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "opaque"
from = "+18595550100"
api_url = "http://127.0.0.1:9"
allowed_countries = ["US", "DE"]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout, which holds nothing else."""
        return json.loads(self.out)

    @property
    def mistakes(self) -> list[str]:
        return self.err.splitlines()


Run = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings, which others cannot read."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    return tmp_path


@pytest.fixture
def oc(folder: Path) -> Iterator[Run]:
    """Runs `outagecast --config … words`; `stdin` is what it reads."""

    def run(*words: str, stdin: str = "", config: Path | None = None) -> Ran:
        arguments = ["--config", str(config or folder / "config.toml"), *words]
        done = CliRunner().invoke(main, arguments, input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(code=done.exit_code, out=done.stdout, err=done.stderr)

    before = logging.getLogger().handlers[:]
    yield run
    logging.getLogger().handlers[:] = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def provider(folder: Path) -> Path:
    """The sample provider's files, with 80 customers."""
    write_provider(folder / "provider", customers=80)
    return folder / "provider"


@pytest.fixture
def imported(oc: Run, provider: Path) -> Run:
    """`oc` on a database that holds the sample provider."""
    done = oc("import", str(provider))
    assert done.code == 0, done.err
    return oc
