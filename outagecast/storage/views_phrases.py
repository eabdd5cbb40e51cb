"""Reading phrases and outage templates."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.phrases import OutageTemplate, Phrase
from outagecast.storage.tables import outage_templates, phrases


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseView:
    id: int
    phrase: Phrase
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateView:
    id: int
    template: OutageTemplate
    changed_at: datetime
    changed_by: str


async def phrase_list(conn: AsyncConnection) -> list[PhraseView]:
    """Those for any cause first, then by cause; in their order."""
    query = select(phrases).order_by(phrases.c.cause_code, phrases.c.position, phrases.c.id)
    return [
        PhraseView(
            id=row["id"],
            phrase=Phrase(**{name: row[name] for name in Phrase.__dataclass_fields__}),
            changed_at=row["changed_at"],
            changed_by=row["changed_by"],
        )
        for row in (await conn.execute(query)).mappings()
    ]


async def template_list(conn: AsyncConnection, id: int | None = None) -> list[TemplateView]:
    """All of them in their order, or the one of this number."""
    query = select(outage_templates).order_by(outage_templates.c.position, outage_templates.c.id)
    if id is not None:
        query = query.where(outage_templates.c.id == id)
    return [
        TemplateView(
            id=row["id"],
            template=OutageTemplate(**{name: row[name] for name in OutageTemplate.__dataclass_fields__}),
            changed_at=row["changed_at"],
            changed_by=row["changed_by"],
        )
        for row in (await conn.execute(query)).mappings()
    ]
