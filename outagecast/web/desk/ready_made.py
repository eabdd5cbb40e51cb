"""Ready-made words where they are used: what a template fills into the declare form, the phrases beside a message."""

from aiohttp import web

from outagecast.domain.errors import NotFound
from outagecast.domain.phrases import TEMPLATE_FIELDS, OutageTemplate
from outagecast.storage import views_phrases
from outagecast.storage.phrases import Kind
from outagecast.storage.views_phrases import PhraseView, TemplateView
from outagecast.web.services import SERVICES


async def offered(request: web.Request) -> list[PhraseView]:
    """The phrases for `desk/phrase_list.html`, which stands beside a message box."""
    async with request.app[SERVICES].database.read() as conn:
        return await views_phrases.phrase_list(conn)


async def templates(request: web.Request) -> list[TemplateView]:
    """All templates, to choose from."""
    async with request.app[SERVICES].database.read() as conn:
        return await views_phrases.template_list(conn)


async def prefill(request: web.Request) -> dict[str, str]:
    """What `?template=ID` fills into the declare form, by its fields' names; nothing without one. NotFound."""
    text = request.query.get("template", "")
    if not text:
        return {}
    template = await template_of(request, text)
    return {name: getattr(template, name) for name in TEMPLATE_FIELDS}


async def template_of(request: web.Request, text: str) -> OutageTemplate:
    """The template of a number as it stands in an address. NotFound."""
    id = number_of(text, Kind.TEMPLATE)
    async with request.app[SERVICES].database.read() as conn:
        found = await views_phrases.template_list(conn, id)
    if not found:
        raise NotFound(f"there is no template {id} (any more)")
    return found[0].template


def number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def number_of(text: str, kind: Kind) -> int:
    found = number(text)
    if found is None:
        raise NotFound(f"there is no {kind} {text[:40]}")
    return found
