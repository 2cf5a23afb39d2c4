"""What is wrong, and whether people were told."""

import sqlite3

from receiver.models import Alert
from receiver.store.rows import alert_values


def keep(db: sqlite3.Connection, alert: Alert) -> None:
    db.execute(
        """
        INSERT INTO alerts (cause, summary, since, told_at, over_at)
        VALUES (:cause, :summary, :since, :told_at, :over_at)
        ON CONFLICT (cause) DO UPDATE SET summary = excluded.summary, since = excluded.since,
            told_at = excluded.told_at, over_at = excluded.over_at
        """,
        alert_values(alert),
    )
