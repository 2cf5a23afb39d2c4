"""Time that passes at once: everything that a database knows becomes older."""

import sqlite3
from contextlib import closing
from pathlib import Path

_TIMES = {
    "jobs": ["created_at", "finished_at", "deadline_at", "next_poll_at", "last_poll_at", "open_at", "ended_at"],
    "events": ["recorded_at"],
    "keys": ["fetched_at", "tried_at"],
    "requests": ["sent_at"],
    "handlers": ["parked_until", "limited_until"],
    "starts": ["started_at"],
    "dispatches": ["created_at", "due_at", "leased_until", "finished_at"],
    "queued": ["queued_at"],
    "turns": ["taken_at"],
    "tokens": ["expires_at", "last_used_at"],
    "sessions": ["expires_at"],
    "answers": ["began_at"],
}


def let_pass(database: Path, seconds: float) -> None:
    """Make it so many seconds older."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in ((table, column) for table, columns in _TIMES.items() for column in columns):
            connection.execute(
                f"UPDATE {table} SET {column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, ?)",  # noqa: S608
                (f"{-seconds:f} seconds",),
            )


def let_pass_in_postgres(url: str, seconds: float) -> None:
    """The same for a database of PostgreSQL."""
    import psycopg

    with psycopg.connect(url) as connection:
        for table, column in ((table, column) for table, columns in _TIMES.items() for column in columns):
            connection.execute(f"UPDATE {table} SET {column} = {column} - make_interval(secs => %s)", (seconds,))  # noqa: S608
