"""Recounting outages: what they touch, who leads, who was told, what is promised and on record; see storage/verify.py.

Values handed in besides: `wished`, a JSON list of [tier, word] with the words of `notify` and `channels` that an empty
cell means; `channels`, a JSON list of the channels in use; `reach`, of those whose addresses reach somebody.
"""

import json
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.message import ChannelName
from outagecast.domain.outage import OPEN
from outagecast.storage.tables import customers, deliveries
from outagecast.storage.verify import COVERED, END_VERB_WORDS, NO_OPEN_WAVE, Check, words

_OPEN = words(*OPEN)
_IS_OPEN = f"o.status IN {_OPEN} AND o.public"
_REVISION = "r.outage_id || ' revision ' || r.number AS example"
_LEAD = (
    "l.outage_id || ' episode ' || l.episode || ' address ' || l.address_id || ' ' || l.thing_kind || ' ' || l.thing_id"
)
_HAS_CONTACT = "EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = l.contact_id)"
"""Who was told as nobody's contact that is still known hears nothing more: what it was told last stands."""
_THINGS = f"""
    WITH wished AS (
        SELECT JSON_PART(value, 0) AS tier, JSON_PART(value, 1) AS word FROM EACH(:wished) AS e
    ),
    settled AS (
        SELECT o.id FROM outages AS o
         WHERE {_IS_OPEN} AND {NO_OPEN_WAVE}
           AND (SELECT min(r.effective_at) FROM revisions AS r WHERE r.outage_id = o.id AND r.state = 'effective')
               > coalesce((SELECT max(t.at) FROM timeline AS t WHERE t.what = 'imported'), 0)
           AND NOT EXISTS (SELECT 1 FROM revisions AS r
                            WHERE r.outage_id = o.id AND NOT JSON_FLAG(r.change, tell))
    ),
    things AS (
        SELECT i.thing_kind, i.thing_id, i.customer_id, min(i.outage_id) AS outage_id,
               CASE max(i.level) WHEN 3 THEN 'outage' WHEN 2 THEN 'degraded' ELSE 'reduced_redundancy' END AS word
          FROM impacts AS i WHERE i.to_at IS NULL GROUP BY i.thing_kind, i.thing_id, i.customer_id
        HAVING min(CASE WHEN i.outage_id IN (SELECT id FROM settled) THEN 1 ELSE 0 END) = 1
    ),
    hearing AS (
        SELECT c.id AS customer_id, c.tier, k.notify, k.channels, k.email_id, k.phone_id
          FROM customers AS c JOIN contacts AS k ON k.customer_id = c.id AND k.status = 'active'
         WHERE c.told_via <> 'parent' OR coalesce(c.parent_id, '') = ''
         UNION ALL
        SELECT c.id, c.tier, k.notify, k.channels, k.email_id, k.phone_id
          FROM customers AS c JOIN contacts AS k ON k.customer_id = c.parent_id AND k.status = 'active'
         WHERE c.told_via IN ('parent', 'both')
    ),
    ears AS (
        SELECT customer_id, tier, notify, channels, 'email' AS channel, email_id AS address_id
          FROM hearing WHERE email_id IS NOT NULL
         UNION ALL
        SELECT customer_id, tier, notify, channels, 'sms', phone_id FROM hearing WHERE phone_id IS NOT NULL
    )
"""
"""`things` that are down, each at its worst, by outages declared since the last import; `ears`: who hears for whom."""


def _wants(cell: str, word: str) -> str:
    return f"""
        CASE WHEN e.{cell} <> '' THEN ' ' || e.{cell} || ' ' LIKE '% ' || {word} || ' %'
             ELSE EXISTS (SELECT 1 FROM wished AS w WHERE w.tier = e.tier AND w.word = {word}) END
    """


CHECKS = (
    Check(
        name="acknowledgement",
        invariant="I1",
        message="addresses are led or covered without an acknowledgement row",
        query="""
            SELECT l.outage_id || ' episode ' || l.episode || ' address ' || l.address_id AS example
              FROM (SELECT outage_id, episode, address_id FROM leads EXCEPT
                    SELECT outage_id, episode, address_id FROM deliveries
                     WHERE kind = 'acknowledgement' AND audience = 'customer') AS l
        """,
    ),
    Check(
        name="nobody_told",
        invariant="I1",
        message="addresses that hear of what is down were told by nobody",
        query=f"""
            {_THINGS}
            SELECT DISTINCT t.outage_id || ' address ' || e.address_id || ' ' || t.thing_id AS example
              FROM things AS t JOIN ears AS e ON e.customer_id = t.customer_id
             WHERE e.channel IN (SELECT value FROM EACH(:channels) AS known)
               AND {_wants("notify", "t.word")} AND {_wants("channels", "e.channel")}
               AND NOT EXISTS (
                   SELECT 1 FROM leads AS l JOIN outages AS o ON o.id = l.outage_id AND o.episode = l.episode
                    WHERE l.address_id = e.address_id AND l.thing_kind = t.thing_kind AND l.thing_id = t.thing_id
                      AND l.customer_id = t.customer_id AND l.role = 'leads')
        """,
    ),
    Check(
        name="unreachable",
        invariant="I1",
        message="customers whom nobody can write to are not counted as unreachable",
        query=f"""
            {_THINGS}
            SELECT DISTINCT t.customer_id || ' (' || t.outage_id || ')' AS example FROM things AS t
             WHERE EXISTS (SELECT 1 FROM wished AS w WHERE w.tier = '' AND w.word = t.word)
               AND NOT EXISTS (SELECT 1 FROM ears AS e WHERE e.customer_id = t.customer_id
                                  AND e.channel IN (SELECT value FROM EACH(:reach) AS known))
               AND NOT EXISTS (
                   SELECT 1 FROM deliveries AS d JOIN impacts AS i ON i.outage_id = d.outage_id AND i.to_at IS NULL
                    WHERE d.customer_id = t.customer_id AND i.customer_id = t.customer_id AND d.reason = 'no_address')
        """,
    ),
    Check(
        name="external_ref",
        invariant="I5",
        message="several outages were declared for one number of the other system",
        query=f"""
            SELECT o.external_ref || ': ' || min(o.id) || ' and ' || max(o.id) AS example FROM outages AS o
             WHERE o.external_ref <> '' AND o.episode = 1 AND o.status IN {words(*OPEN, "draft")}
             GROUP BY o.external_ref HAVING count(*) > 1
        """,
    ),
    Check(
        name="two_leaders",
        invariant="I6",
        message="an address is not led about one thing by exactly one open outage",
        query=f"""
            SELECT min({_LEAD}) AS example FROM leads AS l
              JOIN outages AS o ON o.id = l.outage_id AND o.episode = l.episode AND {_IS_OPEN}
             WHERE l.role IN ('leads', '{COVERED}') AND ({_HAS_CONTACT}) AND {NO_OPEN_WAVE}
             GROUP BY l.address_id, l.thing_kind, l.thing_id, l.customer_id
            HAVING sum(CASE WHEN l.role = 'leads' THEN 1 ELSE 0 END) <> 1
        """,
    ),
    Check(
        name="leads_ended",
        invariant="I6",
        message="what an outage leads has not ended with it",
        query=f"""
            SELECT {_LEAD} AS example FROM leads AS l JOIN outages AS o ON o.id = l.outage_id
             WHERE l.role <> 'ended' AND (o.status NOT IN {_OPEN} OR l.episode <> o.episode) AND ({_HAS_CONTACT})
               AND {NO_OPEN_WAVE}
        """,
    ),
    Check(
        name="episodes",
        invariant="I11",
        message="deliveries have the keys of another episode than their revision's",
        query="""
            SELECT d.id || ' (' || d.outage_id || ' revision ' || d.revision || ', ' || d.episode || ')' AS example
              FROM deliveries AS d
             WHERE d.audience = 'customer' AND d.episode <> 1 + (
                   SELECT count(*) FROM revisions AS r WHERE r.outage_id = d.outage_id AND r.verb = 'reopen'
                      AND r.state = 'effective' AND r.number <= d.revision)
        """,
    ),
    Check(
        name="episode_count",
        invariant="I11",
        message="outages count other episodes than they were reopened",
        query="""
            SELECT o.id || ' episode ' || o.episode AS example FROM outages AS o
             WHERE o.episode <> 1 + (SELECT count(*) FROM revisions AS r
                                      WHERE r.outage_id = o.id AND r.verb = 'reopen' AND r.state = 'effective')
        """,
    ),
    Check(
        name="second_person",
        invariant="I17",
        message="what approve_above held was released by nobody else",
        query=f"""
            SELECT {_REVISION} FROM revisions AS r JOIN outages AS o ON o.id = r.outage_id
             WHERE r.held_because = 'approve_above' AND r.actor_kind <> 'monitor'
               AND (r.state = 'effective' AND r.released_by IN ('', r.actor)
                 OR (r.state = 'undone' OR r.verb = 'declare' AND o.public) AND NOT EXISTS (
                     SELECT 1 FROM revisions AS n
                       JOIN timeline AS t ON t.outage_id = n.outage_id AND t.revision = n.number
                      WHERE n.outage_id = r.outage_id AND n.number > r.number AND n.verb = r.verb
                        AND t.what = 'released' AND (t.actor <> r.actor OR t.why = 'typed_number'))
                 AND EXISTS (SELECT 1 FROM revisions AS n WHERE n.outage_id = r.outage_id AND n.number > r.number
                                AND n.verb = r.verb AND n.state = 'effective'))
        """,
    ),
    Check(
        name="on_the_timeline",
        invariant="I27",
        message="revisions took effect without a line of the timeline",
        query=f"""
            SELECT {_REVISION} FROM revisions AS r
             WHERE r.state = 'effective' AND NOT EXISTS (
                   SELECT 1 FROM timeline AS t
                    WHERE r.verb <> 'pass_lead' AND t.outage_id = r.outage_id AND t.revision = r.number
                       OR r.verb = 'pass_lead' AND t.outage_id = JSON_TEXT(r.change, because_of))
        """,
    ),
    Check(
        name="numbers",
        invariant="I30",
        message="outages count other revisions than there are",
        query="""
            SELECT o.id || ' revision ' || o.revision AS example
              FROM outages AS o LEFT JOIN revisions AS r ON r.outage_id = o.id
             GROUP BY o.id HAVING o.revision <> coalesce(max(r.number), 0) OR o.revision <> count(r.number)
        """,
    ),
    Check(
        name="promise",
        invariant="rule 18",
        message="open outages promise nothing, or nobody looks at them again",
        query=f"""
            SELECT o.id AS example FROM outages AS o
             WHERE {_IS_OPEN} AND (o.look_again_at IS NULL OR o.next_update_by IS NULL AND NOT EXISTS (
                   SELECT 1 FROM revisions AS r
                    WHERE r.outage_id = o.id AND r.verb = 'holding' AND r.state = 'effective'))
        """,
    ),
    Check(
        name="impact_times",
        invariant="rule 6",
        message="impacts end before they begin, or overlap for one thing of one outage",
        query="""
            SELECT i.outage_id || ' ' || i.thing_kind || ' ' || i.thing_id || ' of ' || i.customer_id AS example
              FROM (SELECT impacts.*, row_number() OVER same AS place, lag(to_at) OVER same AS last FROM impacts
                    WINDOW same AS (PARTITION BY outage_id, thing_kind, thing_id, customer_id ORDER BY from_at, id)
                   ) AS i
             WHERE i.to_at < i.from_at OR i.place > 1 AND (i.last IS NULL OR i.last > i.from_at)
        """,
    ),
    Check(
        name="impact_outage",
        invariant="rule 6",
        message="impacts belong to no outage, or last although it is over",
        query=f"""
            SELECT i.outage_id || ' ' || i.thing_kind || ' ' || i.thing_id || ' of ' || i.customer_id AS example
              FROM impacts AS i LEFT JOIN outages AS o ON o.id = i.outage_id
             WHERE o.id IS NULL OR i.episode > o.episode
                OR i.to_at IS NULL AND (NOT ({_IS_OPEN}) OR i.episode <> o.episode)
        """,
    ),
    Check(
        name="waves",
        invariant="sizes",
        message="waves that are done have addresses left, or addresses have no wave",
        query="""
            SELECT 'wave ' || a.wave_id AS example FROM wave_addresses AS a LEFT JOIN waves AS w ON w.id = a.wave_id
             WHERE w.id IS NULL OR w.done_at IS NOT NULL GROUP BY a.wave_id
        """,
    ),
    Check(
        name="ended",
        invariant="I30",
        message="the status of outages is not what their last revision did",
        query=f"""
            SELECT o.id || ' ' || o.status AS example FROM outages AS o
              JOIN revisions AS r ON r.outage_id = o.id AND r.number = (
                   SELECT max(x.number) FROM revisions AS x WHERE x.outage_id = o.id AND x.state = 'effective'
                      AND (x.verb IN {END_VERB_WORDS} OR x.verb IN ('declare', 'reopen')))
             WHERE o.public AND (o.status IN {_OPEN}) <> (r.verb IN ('declare', 'reopen'))
        """,
    ),
)


async def tiers(conn: AsyncConnection) -> list[str]:
    """The tiers that customers have; the empty one is always among them."""
    return sorted({"", *(row.tier for row in await conn.execute(select(customers.c.tier).distinct()))})


async def channels_in_use(conn: AsyncConnection) -> list[str]:
    """The channels on which anything was ever planned for an address."""
    query = select(deliveries.c.channel).where(
        deliveries.c.audience == "customer", deliveries.c.address_id.is_not(None)
    )
    return sorted(row.channel for row in await conn.execute(query.distinct()))


def as_list(values: Iterable[object]) -> str:
    """A list as the queries read it."""
    return json.dumps(list(values))


ALL_CHANNELS = tuple(channel.value for channel in ChannelName)
