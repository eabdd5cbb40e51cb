"""procrastinate, a durable queue of tasks in PostgreSQL, whose task sends one mail with aiosmtplib: what one would
build oneself in Python.
"""

import secrets
from dataclasses import replace

from tests.bench import postgres
from tests.bench.letters import SENDER
from tests.bench.peers.base import DRIVERS, Availability, Job, Spent, drive, make_python, python_of, versions_of

NAME = "procrastinate + aiosmtplib"
HOW = "a task a mail in PostgreSQL, deferred by 1,000; a worker of 20 at once, EmailMessage, kept connections"
SHARE = 0.075
NEEDS_POSTGRES = True
CONCURRENCY = 20
_PACKAGES = ("procrastinate", "aiosmtplib", "psycopg[binary]")


def available() -> Availability:
    if lacking := postgres.available():
        return Availability(missing=lacking, can_install=False)
    versions = versions_of("procrastinate", "procrastinate", "aiosmtplib", "psycopg")
    return Availability(version=versions, missing="" if versions else "its environment has not been made")


def install() -> None:
    make_python("procrastinate", *_PACKAGES)


def run(job: Job) -> Spent:
    """On a database of its own, made and dropped outside the time."""
    server = job.postgres
    assert server is not None, "this peer needs a PostgreSQL server"
    database = f"procrastinate_{secrets.token_hex(4)}"
    server.create(database)
    path = job.folder / "procrastinate.json"
    job.letter.with_places("{name}", "{number}").write(
        path,
        port=job.port,
        count=job.count,
        sender=SENDER,
        concurrency=CONCURRENCY,
        database=server.url(database),
    )
    before = server.cpu_seconds()
    spent = drive([str(python_of("procrastinate")), str(DRIVERS / "procrastinate_mails.py")], path)
    spent = replace(spent, server_cpu_seconds=server.cpu_seconds() - before)
    server.drop(database)
    return spent
