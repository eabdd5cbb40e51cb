"""Queues the mails of the job named on the command line with django-post-office, sends its queue, prints what it spent.

Runs in an environment of its own, where Django is.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

NAMES = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë")
QUEUED_AT_ONCE = 1000


def configure(job: dict[str, Any], folder: Path) -> None:
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "django.db",
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000",
                },
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=job["port"],
        DEFAULT_FROM_EMAIL=f"Bluegrass Fiber <{job['sender']}>",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        POST_OFFICE={
            "BATCH_SIZE": job["batch"],
            "THREADS_PER_PROCESS": job["threads"],
            "LOG_LEVEL": 0,
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
        },
    )
    django.setup()
    call_command("migrate", verbosity=0)


def cpu() -> float:
    return sum(os.times()[:4])


def main() -> None:
    job_path = Path(sys.argv[1])
    job = json.loads(job_path.read_text())
    configure(job, job_path.parent)
    from post_office import mail  # its models want Django to be set up
    from post_office.models import EmailTemplate

    template = EmailTemplate.objects.create(
        name="outage", subject=job["subject"], content=job["text"], html_content=job["html"]
    )
    started, used = time.perf_counter(), cpu()
    for first in range(0, job["count"], QUEUED_AT_ONCE):
        mail.send_many(
            [
                {
                    "recipients": [f"c{number}@customers.example"],
                    "template": template,
                    "context": {"name": f"{NAMES[number % len(NAMES)]} Person{number}", "number": str(number)},
                    "render_on_delivery": True,
                }
                for number in range(first, min(first + QUEUED_AT_ONCE, job["count"]))
            ]
        )
    call_command(
        "send_queued_mail", processes=job["processes"], log_level=0, lockfile=str(job_path.parent / "django-lock")
    )
    seconds, used = time.perf_counter() - started, cpu() - used
    from post_office.models import STATUS, Email

    sent = Email.objects.filter(status=STATUS.sent).count()
    assert sent == job["count"], f"{sent} of {job['count']} were sent"
    print(json.dumps({"seconds": seconds, "cpu_seconds": used}))


if __name__ == "__main__":
    logging.disable(logging.INFO)
    main()
