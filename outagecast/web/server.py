"""The web server: the application from its parts, and its run on a socket."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from outagecast.web.access import guarded
from outagecast.web.api import openapi
from outagecast.web.desk.events import close_streams
from outagecast.web.health import healthz, metrics, readyz
from outagecast.web.kept import Kept
from outagecast.web.pages import Pages
from outagecast.web.problems import tell_problems
from outagecast.web.reading import LONGEST_BODY
from outagecast.web.routes import API, ROUTES
from outagecast.web.security import before_sending
from outagecast.web.services import DOORS, KEPT, PAGES, SERVICES, Doors, Services

KEEPALIVE_SECONDS = 75
"""aiohttp's AppRunner would wait 3630 s for a request that never comes."""
SHUTDOWN_SECONDS = 5
STATIC = Path(__file__).parent / "static"
log = logging.getLogger("outagecast.web.access")


def make_app(services: Services) -> web.Application:
    """The application; it holds no state but what is open right now."""
    app = web.Application(middlewares=[tell_problems], client_max_size=LONGEST_BODY)
    provider = services.provider
    app[SERVICES] = services
    app[DOORS] = Doors()
    app[KEPT] = Kept(services.keep_seconds, monotonic)
    app[PAGES] = Pages(services.templates, zone=provider.zone, clock=services.clock, shared={"provider": provider})
    documented = [(route.method, _plain(route.path), route.doc) for route in API if route.doc is not None]
    app[openapi.DOCUMENT] = openapi.build(documented, title=f"{provider.name}: OutageCast", server=provider.public_url)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, guarded(route.access, route.handler))
        if route.method == "GET" and route.path != "/desk/events":
            app.router.add_route("HEAD", route.path, guarded(route.access, route.handler))
    app.router.add_static("/static", STATIC)
    app.on_response_prepare.append(before_sending)
    app.on_shutdown.append(close_streams)
    app.cleanup_ctx.append(_listening)
    return app


def make_watch(services: Services) -> web.Application:
    """What whoever watches a daemon without pages may ask: is it alive, is it ready, what is it doing."""
    app = web.Application()
    app[SERVICES] = services
    for path, handler in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.router.add_get(path, handler)
    app.on_response_prepare.append(before_sending)
    return app


@asynccontextmanager
async def serve(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Listens for as long as the context lasts; gives the port (port 0 takes any free one)."""
    runner = web.AppRunner(
        app,
        handle_signals=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        access_log_class=AccessLog,
        access_log=log,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listening(app: web.Application) -> AsyncIterator[None]:
    listener = asyncio.create_task(app[KEPT].listen(app[SERVICES].changes), name="kept")
    yield
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


class AccessLog(AbstractAccessLogger):
    """One line a request: method, route, status, milliseconds. No query, no address, no secret of a path."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        resource = request.match_info.route.resource if isinstance(request, web.Request) else None
        route = resource.canonical if resource is not None else "-"
        self.logger.info("%s %s %d %.1f ms", request.method, route, response.status, time * 1000)

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)


def _plain(path: str) -> str:
    """A route's path as OpenAPI writes it: without the pattern of a placeholder."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)
