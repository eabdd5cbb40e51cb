"""Recounting what people had said again: each such message has the decision beside it; see storage/verify.py."""

from outagecast.storage.verify import Check

CHECKS = (
    Check(
        name="said_again",
        invariant="I2",
        message="messages were said again without a person's decision on record",
        query="""
            SELECT d.id || ' (' || d.outage_id || ' revision ' || d.revision || ')' AS example
              FROM deliveries AS d
              JOIN revisions AS r ON r.outage_id = d.outage_id AND r.number = d.revision AND r.verb = 'redeliver'
             WHERE d.audience = 'customer' AND (
                   NOT EXISTS (SELECT 1 FROM redeliveries AS a WHERE a.delivery_id = d.id)
                OR NOT EXISTS (SELECT 1 FROM timeline AS t
                                WHERE t.outage_id = d.outage_id AND t.revision = d.revision
                                  AND t.what IN ('retried', 'resent', 'confirmed') AND t.actor_kind <> 'daemon'))
        """,
    ),
)
