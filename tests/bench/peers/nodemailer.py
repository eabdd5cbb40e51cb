"""nodemailer's connection pool: ten connections kept for any number of messages. It keeps no record of what it sent."""

import json
import shutil
import subprocess

from tests.bench.letters import SENDER
from tests.bench.peers.base import DRIVERS, Availability, Job, Spent, cache, drive, step

NAME = "nodemailer"
HOW = "pool of 10 connections, maxMessages infinite, fed on idle; keeps no record"
SHARE = 0.2
NEEDS_POSTGRES = False
CONNECTIONS = 10
_CACHE = "nodemailer"


def available() -> Availability:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return Availability(missing="node and npm are not installed (Debian: nodejs, npm)", can_install=False)
    package = cache(_CACHE) / "node_modules" / "nodemailer" / "package.json"
    if not package.exists():
        return Availability(missing="npm install nodemailer has not been run")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Availability(version=f"nodemailer {json.loads(package.read_text())['version']}, node {said.lstrip('v')}")


def install() -> None:
    npm = shutil.which("npm") or "npm"
    step(npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache(_CACHE)), "nodemailer", cwd=cache(_CACHE))


def run(job: Job) -> Spent:
    """The driver itself says how long it took, without node's start."""
    path = job.folder / "nodemailer.json"
    job.letter.with_places("{name}", "{number}").write(
        path,
        modules=str(cache(_CACHE)),
        port=job.port,
        count=job.count,
        connections=CONNECTIONS,
        sender=SENDER,
    )
    return drive([shutil.which("node") or "node", str(DRIVERS / "nodemailer_pool.cjs")], path)
