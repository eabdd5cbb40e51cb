"""The daemon's own tables, read from outside: only for what no ground truth can show, and to see that it is at rest."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
UNSETTLED = """
    SELECT (SELECT count(*) FROM deliveries WHERE state IN ('planned', 'leased', 'transmitting'))
         + (SELECT count(*) FROM revisions WHERE state = 'pending')
         + (SELECT count(*) FROM waves WHERE done_at IS NULL)
         + (SELECT count(*) FROM deliveries AS d JOIN outages AS o ON o.id = d.outage_id
             WHERE d.state = 'ambiguous' AND d.ambiguous < 2
               AND (o.status NOT IN ('resolved', 'retracted') OR d.kind IN ('resolution', 'retraction'))
               AND NOT EXISTS (SELECT 1 FROM deliveries AS n
                    WHERE n.outage_id = d.outage_id AND n.address_id = d.address_id AND n.id > d.id
                      AND n.audience = 'customer' AND n.state <> 'suppressed')
               AND NOT EXISTS (SELECT 1 FROM addresses AS a WHERE a.id = d.address_id AND a.suppressed IS NOT NULL))
           AS left_over
"""
"""What is on its way, decided and not effective, planned in part, or unknown with its one retry still to come."""


class Books:
    """`url`: `sqlite:///absolute/path` or PostgreSQL's. Each question opens and closes a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str, **values: object) -> Sequence[Row]:
        """`:name` in the query stands for a value."""
        if self.url.startswith("sqlite"):
            path = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as conn:
                conn.row_factory = sqlite3.Row
                return [dict(row) for row in conn.execute(query, values)]
        for name in values:
            query = query.replace(f":{name}", f"%({name})s")
        with psycopg.connect(self.url, row_factory=dict_row, connect_timeout=5) as pg:
            return cast(Sequence[Row], pg.execute(cast(Any, query), values).fetchall())

    def one(self, query: str, **values: object) -> Any:
        """The first column of the first row."""
        return next(iter(self.rows(query, **values)[0].values()))

    def unsettled(self) -> int:
        return int(self.one(UNSETTLED))

    def attempts(self) -> Sequence[Row]:
        """Every attempt to customers, with whom and which revision it told."""
        return self.rows(
            """
            SELECT a.key, a.number, a.ambiguous, a.outcome, a.started_at, a.receipt, a.route, d.id AS delivery,
                   d.outage_id, d.episode, d.revision, d.kind, d."to", d.channel, d.state
              FROM attempts AS a JOIN deliveries AS d ON d.id = a.delivery_id WHERE d.audience = 'customer'
            """
        )

    def deliveries(self) -> Sequence[Row]:
        return self.rows("SELECT * FROM deliveries WHERE audience = 'customer'")
