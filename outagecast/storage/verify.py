"""Recounting the outbox: one query for each thing that must hold of deliveries and their attempts. Reads only.

Each query answers the rows that break its invariant, as one column `example`. Values handed in: `now`, `slack` and
`grace` in microseconds. When an attempt began is `attempts.started_at`; `deliveries.transmitting_at` is written again
when it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import LEFT, TRANSITIONS, UNSENT_ENDS, DeliveryState
from outagecast.domain.notices import END_KINDS, NoticeKind
from outagecast.domain.outage import END_VERBS
from outagecast.domain.suppression import SuppressReason
from outagecast.storage.plain_sql import words_of

SHOWN = 5
"""Examples of one finding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must hold: its name, what is wrong with the rows the query answers, the query (plain_sql.py)."""

    name: str
    invariant: str
    message: str
    query: str


async def broken(conn: AsyncConnection, check: Check, values: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """How many rows break it, and the first few of them."""
    counted = f"SELECT found.example, count(*) OVER () AS total FROM ({check.query}) AS found"
    query = text(words_of(f"{counted} ORDER BY example LIMIT {SHOWN}", conn))
    rows = (await conn.execute(query, {name: values[name] for name in query.compile().params})).all()
    return (rows[0].total if rows else 0), tuple(row.example for row in rows)


def words(*values: str) -> str:
    """Words of an enum as an SQL list, in a fixed order."""
    return "(" + ", ".join(f"'{value}'" for value in sorted(values)) + ")"


S = DeliveryState
COVERED = SuppressReason.COVERED.value
ENDS = words(*END_KINDS)
END_VERB_WORDS = words(*END_VERBS)
_AFTER_THE_END = words(*END_KINDS, NoticeKind.FOLLOW_UP)
_ACK = NoticeKind.ACKNOWLEDGEMENT.value
_LEFT = words(*LEFT)
_UNSENT = words(S.PLANNED, S.LEASED)
_ROW = "d.id || ' (' || d.outage_id || ' revision ' || d.revision || ', ' || d.kind || ' ' || d.state || ')' AS example"
_CUSTOMER = "d.audience = 'customer'"
_ARRIVED = "(a.outcome IS NULL OR a.outcome IN ('accepted', 'ambiguous') OR a.ambiguous OR a.receipt IS NOT NULL)"
"""An attempt whose message may have arrived: everything but what was refused or put off."""
_COMBINED = "coalesce(JSON_FLAG(d.facts, combined), false)"
_REOPENED = """
    EXISTS (SELECT 1 FROM revisions AS again
             WHERE again.outage_id = d.outage_id AND again.verb = 'reopen' AND again.state = 'effective'
               AND again.number > e.number AND again.number <= d.revision)
"""
_ENDED = f"""
    JOIN revisions AS e ON e.outage_id = d.outage_id AND e.verb IN {END_VERB_WORDS} AND e.state = 'effective'
     AND NOT {_REOPENED}
"""
"""The end of the episode that a delivery belongs to."""
NO_OPEN_WAVE = "NOT EXISTS (SELECT 1 FROM waves WHERE done_at IS NULL)"

CHECKS = (
    Check(
        name="reason",
        invariant="I1",
        message="deliveries ended without arriving and without a reason",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.state IN {words(*UNSENT_ENDS, S.FAILED, S.UNDELIVERED)} AND coalesce(d.reason, '') = ''
        """,
    ),
    Check(
        name="left_over",
        invariant="I1",
        message="deliveries are still unsent although their outage has ended",
        query=f"""
            SELECT DISTINCT {_ROW} FROM deliveries AS d {_ENDED}
             WHERE {_CUSTOMER} AND d.state IN {_UNSENT} AND d.kind NOT IN {_AFTER_THE_END}
               AND e.effective_at < :now - :grace AND (d.expires_at IS NULL OR d.expires_at < :now - :grace)
               AND {NO_OPEN_WAVE}
        """,
    ),
    Check(
        name="twice",
        invariant="I2",
        message="messages may have arrived more than once without an unknown fate that explains it, or more than twice",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id
             WHERE {_ARRIVED} GROUP BY d.id HAVING count(*) > CASE WHEN d.ambiguous > 0 THEN 2 ELSE 1 END
        """,
    ),
    Check(
        name="counters",
        invariant="I2",
        message="deliveries count other attempts than there are",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d LEFT JOIN attempts AS a ON a.delivery_id = d.id GROUP BY d.id
            HAVING d.attempt <> count(a.key) OR d.attempt <> coalesce(max(a.number), 0)
                OR d.ambiguous > d.attempt OR d.ambiguous < sum(CASE WHEN a.ambiguous THEN 1 ELSE 0 END)
        """,
    ),
    Check(
        name="one_address",
        invariant="I3",
        message="one address has several deliveries of the same kind by the same revision",
        query=f"""
            SELECT min(d.id) || ' and ' || max(d.id) || ' (' || d.outage_id || ')' AS example
              FROM deliveries AS d WHERE {_CUSTOMER} AND d."to" <> ''
             GROUP BY d.outage_id, d.episode, d.channel, lower(trim(d."to")), d.kind, d.revision HAVING count(*) > 1
        """,
    ),
    Check(
        name="acknowledged_first",
        invariant="I7",
        message="something was sent to an address before its acknowledgement",
        query=f"""
            WITH acknowledged AS (
                SELECT d.outage_id, d.episode, d.address_id,
                       min(CASE WHEN d.reason = '{COVERED}' THEN d.created_at ELSE a.started_at END) AS at
                  FROM deliveries AS d LEFT JOIN attempts AS a ON a.delivery_id = d.id AND {_ARRIVED}
                 WHERE {_CUSTOMER} AND (d.kind = '{_ACK}' OR {_COMBINED})
                   AND (d.reason = '{COVERED}' OR a.key IS NOT NULL)
                 GROUP BY d.outage_id, d.episode, d.address_id
            )
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id
              LEFT JOIN acknowledged AS k
                ON k.address_id = d.address_id AND k.outage_id = d.outage_id AND k.episode = d.episode
             WHERE {_CUSTOMER} AND d.kind NOT IN {words(NoticeKind.ACKNOWLEDGEMENT, NoticeKind.FOLLOW_UP)}
               AND NOT {_COMBINED} AND (k.at IS NULL OR k.at > a.started_at)
               -- Whoever leads at the end says it, also of what another outage or an earlier episode had told.
               AND NOT (d.kind IN {ENDS} AND EXISTS (
                   SELECT 1 FROM deliveries AS o JOIN attempts AS b ON b.delivery_id = o.id
                    WHERE o.address_id = d.address_id AND (o.outage_id <> d.outage_id OR o.episode < d.episode)
                      AND b.started_at <= a.started_at))
        """,
    ),
    Check(
        name="after_the_end",
        invariant="I8",
        message="something other than the end was sent after the end had taken effect",
        query=f"""
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id {_ENDED}
             WHERE {_CUSTOMER} AND d.kind NOT IN {_AFTER_THE_END} AND a.started_at > e.effective_at + :slack
        """,
    ),
    Check(
        name="stale",
        invariant="I9",
        message="something was sent after a newer revision had spoken to the same address",
        query=f"""
            WITH spoken AS (
                SELECT d.*, min(CASE WHEN d.state <> 'suppressed' THEN d.created_at END) OVER (
                       PARTITION BY d.outage_id, d.address_id ORDER BY d.id
                       RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS newer_at
                  FROM deliveries AS d WHERE {_CUSTOMER} AND d.address_id IS NOT NULL
            )
            SELECT DISTINCT {_ROW} FROM spoken AS d JOIN attempts AS a ON a.delivery_id = d.id
             WHERE a.started_at > d.newer_at + :slack
        """,
    ),
    Check(
        name="states",
        invariant="I10",
        message="deliveries are in no known state",
        query=f"SELECT {_ROW} FROM deliveries AS d WHERE d.state NOT IN {words(*TRANSITIONS)}",
    ),
    Check(
        name="receipts",
        invariant="I10",
        message="the state of deliveries is not what the provider said",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.state = 'delivered' AND NOT {{receipt_is}} 'delivered')
                OR d.state = 'undelivered' AND NOT {{receipt_is}} 'undelivered')
                OR d.state = 'accepted' AND NOT EXISTS (
                   SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.id
                      AND (a.outcome = 'accepted' OR a.receipt IS NOT NULL))
                OR d.state = 'accepted' AND EXISTS (
                   SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.id
                      AND a.receipt IN ('delivered', 'undelivered') AND a.receipt_at < :now - :grace)
        """.format(receipt_is="EXISTS (SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.id AND a.receipt ="),
    ),
    Check(
        name="suppressed",
        invariant="I13",
        message="something was sent to an address that must not be written to",
        query=f"""
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id
              JOIN addresses AS s ON s.id = d.address_id AND s.suppressed IS NOT NULL
             WHERE {_CUSTOMER} AND a.started_at > s.suppressed_at + :slack
        """,
    ),
    Check(
        name="affected",
        invariant="I14",
        message="deliveries speak of customers whom their outage never touched",
        query=f"""
            WITH touched AS (SELECT DISTINCT outage_id, customer_id, 1 AS yes FROM impacts)
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN notices AS n ON n.delivery_id = d.id
              LEFT JOIN touched AS t ON t.customer_id = n.customer_id AND t.outage_id = d.outage_id
             WHERE {_CUSTOMER} AND d.state <> 'suppressed' AND t.yes IS NULL
        """,
    ),
    Check(
        name="notices",
        invariant="I14",
        message="deliveries to customers do not say of whom they speak",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE {_CUSTOMER} AND NOT EXISTS (SELECT 1 FROM notices AS n WHERE n.delivery_id = d.id)
        """,
    ),
    Check(
        name="too_early",
        invariant="I19",
        message="something was sent before it was due",
        query=f"""
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id
             WHERE a.started_at < d.created_at - :slack
                OR a.number = d.attempt AND d.ambiguous = 0 AND a.started_at < d.due_at - :slack
               AND d.state IN {words(S.TRANSMITTING, S.ACCEPTED, S.DELIVERED, S.UNDELIVERED)}
        """,
    ),
    Check(
        name="too_late",
        invariant="I19",
        message="something was sent after its promise had passed",
        query=f"""
            SELECT DISTINCT {_ROW} FROM deliveries AS d JOIN attempts AS a ON a.delivery_id = d.id
             WHERE a.started_at > d.expires_at
        """,
    ),
    Check(
        name="leases",
        invariant="I22",
        message="leases and fences do not fit the state",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.fence < d.attempt
                OR d.state IN {words(S.LEASED, S.TRANSMITTING)} AND (d.lease_owner IS NULL OR d.lease_until IS NULL)
                OR d.state NOT IN {words(S.LEASED, S.TRANSMITTING)}
               AND (d.lease_owner IS NOT NULL OR d.lease_until IS NOT NULL)
        """,
    ),
    Check(
        name="on_record",
        invariant="I23",
        message="messages have left without a record of the attempt",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.state IN {_LEFT} AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.id)
        """,
    ),
    Check(
        name="orphaned_attempts",
        invariant="I23",
        message="attempts belong to no delivery",
        query="""
            SELECT a.key || ' (delivery ' || a.delivery_id || ')' AS example FROM attempts AS a
             WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.id = a.delivery_id)
        """,
    ),
    Check(
        name="stuck",
        invariant="I24",
        message="messages are on their way longer than their lease lasts",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.state = 'transmitting' AND d.lease_until < :now - :grace
        """,
    ),
    Check(
        name="unknown_on_record",
        invariant="I27",
        message="unknown fates have no line of the timeline",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
             WHERE d.ambiguous > (SELECT count(*) FROM timeline AS t
                                   WHERE t.outage_id = d.outage_id AND t.what = 'ambiguous'
                                     AND JSON_NUMBER(t.data, delivery) = d.id)
               AND d.ambiguous > 0
        """,
    ),
    Check(
        name="frozen",
        invariant="I30",
        message="deliveries belong to no effective revision with frozen facts",
        query=f"""
            SELECT {_ROW} FROM deliveries AS d
              LEFT JOIN revisions AS r ON r.outage_id = d.outage_id AND r.number = d.revision
             WHERE {_CUSTOMER} AND (r.number IS NULL OR r.state <> 'effective' OR r.facts IS NULL)
        """,
    ),
)
