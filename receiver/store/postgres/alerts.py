"""What is wrong, and whether people were told."""

from receiver.models import Alert
from receiver.store.postgres.connection import Connection
from receiver.store.rows import alert_values


def keep(db: Connection, alert: Alert) -> None:
    db.execute(
        """
        INSERT INTO alerts (cause, summary, since, told_at, over_at)
        VALUES (%(cause)s, %(summary)s, %(since)s, %(told_at)s, %(over_at)s)
        ON CONFLICT (cause) DO UPDATE SET summary = excluded.summary, since = excluded.since,
            told_at = excluded.told_at, over_at = excluded.over_at
        """,
        alert_values(alert),
    )
