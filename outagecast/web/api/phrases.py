"""Ready-made words over the API, to read: what a ticket system or a script of one's own may offer as well."""

from aiohttp import web
from typing_extensions import TypedDict

from outagecast.storage import views_phrases
from outagecast.web.api.outages import answer
from outagecast.web.services import SERVICES


class PhraseAnswer(TypedDict):
    """`cause_code`: the cause it is for, "" any."""

    id: int
    name: str
    text: str
    cause_code: str
    changed_at: str
    changed_by: str


class TemplateAnswer(TypedDict):
    """The declare form filled in beforehand, each field as it is typed there."""

    id: int
    name: str
    title: str
    scope: str
    effect: str
    severity: str
    status: str
    eta: str
    message: str
    cause: str
    cause_code: str
    note: str
    next_update_in: str
    changed_at: str
    changed_by: str


class PhrasesAnswer(TypedDict):
    phrases: list[PhraseAnswer]


class TemplatesAnswer(TypedDict):
    templates: list[TemplateAnswer]


async def phrases(request: web.Request) -> web.Response:
    async with request.app[SERVICES].database.read() as conn:
        found = await views_phrases.phrase_list(conn)
    return answer(
        PhrasesAnswer(
            phrases=[
                PhraseAnswer(
                    id=view.id,
                    name=view.phrase.name,
                    text=view.phrase.text,
                    cause_code=view.phrase.cause_code,
                    changed_at=view.changed_at.isoformat(),
                    changed_by=view.changed_by,
                )
                for view in found
            ]
        )
    )


async def templates(request: web.Request) -> web.Response:
    async with request.app[SERVICES].database.read() as conn:
        found = await views_phrases.template_list(conn)
    return answer(TemplatesAnswer(templates=[_template(view) for view in found]))


def _template(view: views_phrases.TemplateView) -> TemplateAnswer:
    kept = view.template
    return TemplateAnswer(
        id=view.id,
        name=kept.name,
        title=kept.title,
        scope=kept.scope,
        effect=kept.effect,
        severity=kept.severity,
        status=kept.status,
        eta=kept.eta,
        message=kept.message,
        cause=kept.cause,
        cause_code=kept.cause_code,
        note=kept.note,
        next_update_in=kept.next_update_in,
        changed_at=view.changed_at.isoformat(),
        changed_by=view.changed_by,
    )
