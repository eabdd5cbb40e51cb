"""django-post-office: mails are rows of a queue, rendered from a stored template as they are sent, a result each.

On SQLite as durable as ours. Its worker takes batches of BATCH_SIZE, deals each out to processes, and these to threads,
each with a connection that it keeps.
"""

from tests.bench.letters import SENDER
from tests.bench.peers.base import DRIVERS, Availability, Job, Spent, drive, make_python, python_of, versions_of

NAME = "django-post-office"
HOW = "send_many, then send_queued_mail with 2 processes of 5 threads, batches of 1,000; SQLite FULL"
SHARE = 0.1
NEEDS_POSTGRES = False
PROCESSES, THREADS, BATCH = 2, 5, 1000
_PACKAGES = ("django-post-office", "django")


def available() -> Availability:
    versions = versions_of("django", *_PACKAGES)
    return Availability(version=versions, missing="" if versions else "its environment has not been made")


def install() -> None:
    make_python("django", *_PACKAGES)


def run(job: Job) -> Spent:
    path = job.folder / "django.json"
    job.letter.with_places("{{ name }}", "{{ number }}").write(
        path,
        port=job.port,
        count=job.count,
        sender=SENDER,
        processes=PROCESSES,
        threads=THREADS,
        batch=BATCH,
    )
    return drive([str(python_of("django")), str(DRIVERS / "django_post_office.py")], path)
