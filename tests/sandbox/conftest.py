"""Real sandboxes on loopback sockets, and the daemon's side of the gateway: a server that takes callbacks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession, web

from outagecast.sandbox import Sandbox, SandboxSettings, start


@dataclass
class Daemon:
    """What was posted to it: path with query, headers, form fields in order. `twiml` is what inbound texts get."""

    url: str = ""
    twiml: str = "<Response/>"
    calls: list[tuple[str, dict[str, str], list[tuple[str, str]]]] = field(default_factory=list)

    def fields(self, **wanted: str) -> list[dict[str, str]]:
        found = [dict(form) for _, _, form in self.calls]
        return [form for form in found if wanted.items() <= form.items()]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    running = await start(SandboxSettings(sms_port=0, sent_after=0.02, delivered_after=0.06))
    yield running
    await running.close()


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    state = Daemon()

    async def take(request: web.Request) -> web.Response:
        form = [(key, str(value)) for key, value in (await request.post()).items()]
        state.calls.append((request.path_qs, dict(request.headers), form))
        return web.Response(text=state.twiml, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield state
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], object]:
    """Wait until something is true, 5 s at the most."""

    async def wait(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    return wait
