"""What the gateway tells the provider's daemon later: status callbacks and inbound texts, signed, in their own time.

Every call and its answer is a record of the log. Knobs for the fault suites: late, several times, in the wrong order,
not at all, with a forged signature.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import aiohttp

from outagecast.sandbox.journal import Record
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.signature import sign

WORKERS = 20
Write = Callable[[str, Mapping[str, Any]], Record]


@dataclass(kw_only=True, slots=True)
class CallbackRules:
    """Delays in real seconds from the taking of the message; `drop` and `forge` in percent; `repeat` times each."""

    sent_after: float = 0.3
    delivered_after: float = 1.5
    repeat: int = 1
    drop: float = 0.0
    forge: float = 0.0
    shuffle: bool = False
    inbound_url: str = ""

    def change(self, wanted: Mapping[str, object]) -> None:
        """Set some of the rules by name; raises ValueError on an unknown name or a wrong type, changing nothing."""
        kinds = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        checked: dict[str, object] = {}
        for name, value in wanted.items():
            if name not in kinds:
                raise ValueError(f"unknown setting {name}; there are {', '.join(kinds)}")
            if kinds[name] is float and type(value) is int:
                value = float(value)
            if type(value) is not kinds[name]:
                raise ValueError(f"{name} must be a {kinds[name].__name__}")
            checked[name] = value
        for name, value in checked.items():
            setattr(self, name, value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One POST to make: `what` names it in the log ("callback")."""

    url: str
    fields: tuple[tuple[str, str], ...]
    sid: str
    status: str


class Callbacks:
    """Holds the calls that are due later and makes them, at most 20 at a time."""

    def __init__(self, settings: SandboxSettings, write: Write) -> None:
        self.rules = CallbackRules(
            sent_after=settings.sent_after,
            delivered_after=settings.delivered_after,
            inbound_url=settings.inbound_url,
        )
        self._settings = settings
        self._write = write
        self._dice = random.Random(settings.seed)
        self._queue: asyncio.Queue[Call] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        self._tasks = [asyncio.create_task(self._work()) for _ in range(WORKERS)]

    async def close(self) -> None:
        self.forget()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Drop everything that is still to come."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        while not self._queue.empty():
            self._queue.get_nowait()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Run `do` after so many real seconds, unless everything is forgotten before."""
        loop = asyncio.get_running_loop()

        def fire() -> None:
            self._timers.discard(timer)
            do()

        timer = loop.call_later(seconds, fire)
        self._timers.add(timer)

    def status(self, call: Call) -> None:
        """Queue a status callback, as often and as late as the rules say."""
        for _ in range(self.rules.repeat):
            if self._dice.random() * 100 < self.rules.drop:
                self._note(call, tries=0, answer="dropped on purpose")
            elif self.rules.shuffle:
                self.later(self._dice.random() * 2 * self.rules.delivered_after, lambda: self._queue.put_nowait(call))
            else:
                self._queue.put_nowait(call)

    async def inbound(self, fields: tuple[tuple[str, str], ...], sid: str) -> str:
        """Hand in a text from a customer; the body of the daemon's answer (TwiML), "" when it could not be had."""
        if not self.rules.inbound_url:
            return ""
        call = Call(url=self.rules.inbound_url, fields=fields, sid=sid, status="received")
        answer, text = await self._post(call, sign(self._settings.auth_token, call.url, fields), uuid.uuid4().hex)
        self._note(call, tries=1, answer=answer)
        return text if answer == 200 else ""

    async def _work(self) -> None:
        while True:
            await self._make(await self._queue.get())

    async def _make(self, call: Call) -> None:
        forged = self._dice.random() * 100 < self.rules.forge
        token = "not the token" if forged else self._settings.auth_token
        signature, once = sign(token, call.url, call.fields), uuid.uuid4().hex
        answer: int | str = ""
        tries = 0
        while tries < self._settings.callback_tries:
            tries += 1
            answer, _ = await self._post(call, signature, once)
            if isinstance(answer, int):
                break
            await asyncio.sleep(0.5 * tries)
        self._note(call, tries=tries, answer=answer, forged=forged)

    async def _post(self, call: Call, signature: str, once: str) -> tuple[int | str, str]:
        assert self._session is not None
        headers = {
            "X-Twilio-Signature": signature,
            "I-Twilio-Idempotency-Token": once,
            "User-Agent": "TwilioProxy/1.1",
        }
        try:
            async with self._session.post(
                call.url, data=list(call.fields), headers=headers, allow_redirects=False
            ) as response:
                return response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{type(error).__name__}: {error}", ""

    def _note(self, call: Call, *, tries: int, answer: int | str, forged: bool = False) -> None:
        self._write(
            "callback",
            {
                "sid": call.sid,
                "status": call.status,
                "url": call.url,
                "fields": dict(call.fields),
                "answer": answer,
                "tries": tries,
                "forged": forged,
            },
        )
