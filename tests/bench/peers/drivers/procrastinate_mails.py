"""Defers the mails of the job named on the command line to procrastinate, runs its worker until all are sent, prints
what it spent. Runs in an environment of its own.
"""

import asyncio
import json
import logging
import sys
import time
from email.message import EmailMessage
from email.utils import formataddr
from pathlib import Path
from typing import Any

import aiosmtplib
import procrastinate

NAMES = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë")
DEFERRED_AT_ONCE = 1000


class Mailer:
    """Connections that are kept, one for each task that runs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[aiosmtplib.SMTP] = []

    async def send(self, message: EmailMessage) -> None:
        client = self._idle.pop() if self._idle else None
        if client is None:
            client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self._port, use_tls=False, start_tls=False)
            await client.connect()
        await client.send_message(message)
        self._idle.append(client)

    async def close(self) -> None:
        for client in self._idle:
            await client.quit()


async def run(job: dict[str, Any]) -> dict[str, float]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=job["database"], min_size=5, max_size=20))
    mailer = Mailer(job["port"])

    @app.task(queue="mails", name="send_mail")  # type: ignore[untyped-decorator]
    async def send_mail(number: int) -> None:
        name = f"{NAMES[number % len(NAMES)]} Person{number}"
        message = EmailMessage()
        message["From"] = formataddr(("Bluegrass Fiber", job["sender"]))
        message["To"] = formataddr((name, f"c{number}@customers.example"))
        message["Subject"] = job["subject"]
        message.set_content(job["text"].replace("{name}", name).replace("{number}", str(number)))
        html = job["html"].replace("{name}", name).replace("{number}", str(number))
        message.add_alternative(html, subtype="html")
        await mailer.send(message)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        started, used = time.perf_counter(), time.process_time()
        for first in range(0, job["count"], DEFERRED_AT_ONCE):
            last = min(first + DEFERRED_AT_ONCE, job["count"])
            await send_mail.batch_defer_async(*({"number": number} for number in range(first, last)))
        await app.run_worker_async(
            wait=False, concurrency=job["concurrency"], listen_notify=False, install_signal_handlers=False
        )
        spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used}
        await mailer.close()
        counted = await app.connector.execute_query_one_async(
            "SELECT count(*) AS done FROM procrastinate_jobs WHERE status = 'succeeded'"
        )
    assert counted["done"] == job["count"], f"{counted['done']} of {job['count']} were sent"
    return spent


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # it warns that an app lives in the main module, as a driver's has to
    print(json.dumps(asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))))
