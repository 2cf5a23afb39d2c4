"""Who may use the admin side, and what became of requests that must not be made twice."""

import json
from datetime import timedelta
from typing import LiteralString

from receiver.clock import to_text
from receiver.models import KeptAnswer, Role, Scope
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock, now_in
from receiver.store.rows import kept_answer_of

MOST_SESSIONS = 100
"""How many sessions a token may have; then the oldest ends."""


USE_TO_NOTE: LiteralString = """
    SELECT 1 FROM tokens
    WHERE name = %s AND (last_used_at IS NULL OR last_used_at < statement_timestamp() - interval '60 seconds')
    """
"""Whether it was not noted within the last minute that a token was used."""


def add_token(
    db: Connection, name: str, digest: str, role: Role, scopes: frozenset[Scope], lasts: timedelta | None
) -> bool:
    now = now_in(db)
    return (
        db.execute(
            """
            INSERT INTO tokens (name, digest, role, scopes, created_at, expires_at)
            VALUES (%(name)s, %(digest)s, %(role)s, %(scopes)s, %(now)s, %(expires)s)
            ON CONFLICT (name) DO NOTHING
            """,
            {
                "name": name,
                "digest": digest,
                "role": role,
                "scopes": json.dumps(sorted(scopes)),
                "now": to_text(now),
                "expires": to_text(now + lasts) if lasts is not None else None,
            },
        ).rowcount
        == 1
    )


def remove_token(db: Connection, name: str) -> bool:
    db.execute("DELETE FROM sessions WHERE token_digest IN (SELECT digest FROM tokens WHERE name = %s)", (name,))
    return db.execute("DELETE FROM tokens WHERE name = %s", (name,)).rowcount == 1


def open_session(db: Connection, digest: str, token_digest: str, lasts: timedelta) -> None:
    now = now_in(db)
    db.execute("DELETE FROM sessions WHERE expires_at <= %s", (to_text(now),))
    db.execute(
        """
        DELETE FROM sessions WHERE digest IN (
            SELECT digest FROM sessions WHERE token_digest = %(token)s ORDER BY expires_at DESC OFFSET %(kept)s)
        """,
        {"token": token_digest, "kept": MOST_SESSIONS - 1},
    )
    db.execute(
        "INSERT INTO sessions (digest, token_digest, created_at, expires_at) VALUES (%s, %s, %s, %s)",
        (digest, token_digest, to_text(now), to_text(now + lasts)),
    )


def begin_request(db: Connection, token: str, key: str, fingerprint: str, keep: timedelta) -> KeptAnswer | None:
    now = lock(db, f"answer {token} {key}")
    db.execute("DELETE FROM answers WHERE began_at <= %s", (to_text(now - keep),))
    row = db.execute("SELECT * FROM answers WHERE token = %s AND key = %s", (token, key)).fetchone()
    if row is not None:
        return kept_answer_of(row)
    db.execute(
        "INSERT INTO answers (token, key, fingerprint, began_at) VALUES (%s, %s, %s, %s)",
        (token, key, fingerprint, to_text(now)),
    )
    return None
