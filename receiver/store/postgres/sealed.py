"""Which keys a database needs, and sealing it anew."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import LiteralString

from receiver.errors import ConfigError, KeyMissing
from receiver.store.base import Resealed
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.pool import Pool
from receiver.store.resealing import Part, Values, reseal
from receiver.store.sealing import NO_KEYS


def note_key(db: Connection) -> None:
    """Note that the first key seals from now on.

    Raises:
        ConfigError: there is no key, and others have sealed.
    """
    proofs = _proofs(db)
    if not db.seal and proofs:
        raise ConfigError(NO_KEYS)
    if db.seal and not any(db.seal.opens(proof, first=True) for proof in proofs):
        db.execute("INSERT INTO seals (proof, made_at) VALUES (%s, clock_timestamp())", (db.seal.proof(),))


def require_keys(db: Connection) -> None:
    """See that there is each key that has sealed.

    Raises:
        KeyMissing: there is not.
    """
    if any(db.seal.opens(proof) is None for proof in _proofs(db)):
        raise KeyMissing


def reseal_all(pool: Pool, *, unseal: bool) -> Iterator[Resealed]:
    """Seal everything anew. What another key has sealed is noted no more once nothing is left of it."""
    unopened = 0
    with closing(pool.without_keys()) as plain:

        def write(statement: LiteralString, rows: Sequence[Values]) -> int:
            return plain.run(lambda db: _write(db, statement, rows))

        for done in reseal(_PARTS, plain.read, write, pool.seal, unseal=unseal):
            unopened += done.unopened
            yield done
    if not unopened:
        pool.run(lambda db: _forget_keys(db, unseal=unseal))


def _write(db: Connection, statement: LiteralString, rows: Sequence[Values]) -> int:
    cursor = db.cursor()
    cursor.executemany(statement, rows)
    return cursor.rowcount


def _proofs(db: Connection) -> list[str]:
    return [row["proof"] for row in db.execute("SELECT proof FROM seals")]


def _forget_keys(db: Connection, *, unseal: bool) -> None:
    gone = [proof for proof in _proofs(db) if unseal or db.seal.opens(proof, first=True) is None]
    db.execute("DELETE FROM seals WHERE proof = ANY(%s)", (gone,))


_PARTS = (
    Part[LiteralString](
        "deliveries",
        """
        SELECT id, received_at, headers, body FROM deliveries WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
        """,
        """
        UPDATE deliveries SET headers = %(headers)s, body = %(body)s
        WHERE id = %(id)s AND received_at = %(received_at)s AND headers = %(was_headers)s AND body = %(was_body)s
        """,
    ),
    Part[LiteralString](
        "quarantine",
        "SELECT id, headers, body FROM quarantine WHERE id > %(after)s ORDER BY id LIMIT %(limit)s",
        """
        UPDATE quarantine SET headers = %(headers)s, body = %(body)s
        WHERE id = %(id)s AND headers = %(was_headers)s AND body = %(was_body)s
        """,
    ),
    Part[LiteralString](
        "events",
        "SELECT id, outputs, failure, data FROM events WHERE id > %(after)s ORDER BY id LIMIT %(limit)s",
        """
        UPDATE events SET outputs = %(outputs)s, failure = %(failure)s, data = %(data)s
        WHERE id = %(id)s AND outputs = %(was_outputs)s AND failure IS NOT DISTINCT FROM %(was_failure)s
            AND data = %(was_data)s
        """,
    ),
    Part[LiteralString](
        "jobs",
        "SELECT id, metadata FROM jobs WHERE id > %(after)s AND metadata <> '{}' ORDER BY id LIMIT %(limit)s",
        "UPDATE jobs SET metadata = %(metadata)s WHERE id = %(id)s AND metadata = %(was_metadata)s",
    ),
    Part[LiteralString](
        "intents",
        "SELECT number AS id, metadata FROM intents WHERE number > %(after)s ORDER BY number LIMIT %(limit)s",
        "UPDATE intents SET metadata = %(metadata)s WHERE number = %(id)s AND metadata = %(was_metadata)s",
    ),
    Part[LiteralString](
        "answers",
        """
        SELECT token || ' ' || key AS id, body FROM answers
        WHERE token || ' ' || key > %(after)s AND body IS NOT NULL ORDER BY 1 LIMIT %(limit)s
        """,
        "UPDATE answers SET body = %(body)s WHERE token || ' ' || key = %(id)s AND body = %(was_body)s",
        first="",
    ),
)
