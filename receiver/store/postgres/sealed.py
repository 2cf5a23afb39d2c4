"""Which keys a database needs, and sealing it anew."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, LiteralString

from receiver.store.base import Resealed
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.pool import Pool
from receiver.store.resealing import Part, Values, reseal

_WRITTEN_WITHIN = 60.0


def note_key(db: Connection) -> None:
    """Note that the first key seals from now on.

    Raises:
        ConfigError: there is no key, and others have sealed.
    """
    proof = db.seal.new_proof(_proofs(db))
    if proof is not None:
        db.execute("INSERT INTO seals (proof, made_at) VALUES (%s, clock_timestamp())", (proof,))


def require_keys(db: Connection) -> None:
    """See that there is each key that has sealed.

    Raises:
        KeyMissing: there is not.
    """
    db.seal.require(_proofs(db))


def reseal_all(pool: Pool, *, unseal: bool) -> Iterator[Resealed]:
    """Seal everything anew, and require the keys no more that are not needed any longer."""
    with closing(pool.without_keys()) as plain:

        def read(statement: LiteralString, values: Values) -> list[dict[str, Any]]:
            return plain.read(statement, values, patient=True)

        def write(statement: LiteralString, rows: Sequence[Values]) -> int:
            deadline = time.monotonic() + _WRITTEN_WITHIN
            return plain.run(lambda db: _write(db, statement, rows), deadline=deadline)

        def forget(proofs: Sequence[str]) -> None:
            plain.run(lambda db: db.execute("DELETE FROM seals WHERE proof = ANY(%s)", (list(proofs),)))

        proofs = plain.run(_proofs)
        yield from reseal(_PARTS, read, write, pool.seal, unseal=unseal, proofs=proofs, forget=forget)


def _write(db: Connection, statement: LiteralString, rows: Sequence[Values]) -> int:
    cursor = db.cursor()
    cursor.executemany(statement, rows)
    return cursor.rowcount


def _proofs(db: Connection) -> list[str]:
    return [row["proof"] for row in db.execute("SELECT proof FROM seals")]


_PARTS = (
    Part[LiteralString](
        "deliveries",
        """
        SELECT id, received_at, headers, body
        FROM (
            SELECT *, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS bytes_before
            FROM (
                SELECT id, received_at, headers, body FROM deliveries
                WHERE id > %(id)s ORDER BY id LIMIT %(limit)s) AS page
        ) AS sized
        WHERE bytes_before < %(bytes)s ORDER BY id
        """,
        """
        UPDATE deliveries SET headers = %(headers)s, body = %(body)s
        WHERE id = %(id)s AND received_at = %(received_at)s AND headers = %(was_headers)s AND body = %(was_body)s
        """,
    ),
    Part[LiteralString](
        "quarantine",
        """
        SELECT id, headers, body
        FROM (
            SELECT *, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS bytes_before
            FROM (SELECT id, headers, body FROM quarantine WHERE id > %(id)s ORDER BY id LIMIT %(limit)s) AS page
        ) AS sized
        WHERE bytes_before < %(bytes)s ORDER BY id
        """,
        """
        UPDATE quarantine SET headers = %(headers)s, body = %(body)s
        WHERE id = %(id)s AND headers = %(was_headers)s AND body = %(was_body)s
        """,
    ),
    Part[LiteralString](
        "events",
        """
        SELECT id, outputs, failure, data
        FROM (
            SELECT *, sum(octet_length(data)) OVER (ORDER BY id) - octet_length(data) AS bytes_before
            FROM (SELECT id, outputs, failure, data FROM events WHERE id > %(id)s ORDER BY id LIMIT %(limit)s) AS page
        ) AS sized
        WHERE bytes_before < %(bytes)s ORDER BY id
        """,
        """
        UPDATE events SET outputs = %(outputs)s, failure = %(failure)s, data = %(data)s
        WHERE id = %(id)s AND outputs = %(was_outputs)s AND failure IS NOT DISTINCT FROM %(was_failure)s
            AND data = %(was_data)s
        """,
    ),
    Part[LiteralString](
        "jobs",
        "SELECT id, metadata FROM jobs WHERE id > %(id)s AND metadata <> '{}' ORDER BY id LIMIT %(limit)s",
        "UPDATE jobs SET metadata = %(metadata)s WHERE id = %(id)s AND metadata = %(was_metadata)s",
    ),
    Part[LiteralString](
        "intents",
        "SELECT number AS id, metadata FROM intents WHERE number > %(id)s ORDER BY number LIMIT %(limit)s",
        "UPDATE intents SET metadata = %(metadata)s WHERE number = %(id)s AND metadata = %(was_metadata)s",
    ),
    Part[LiteralString](
        "answers",
        """
        SELECT token, key, body FROM answers
        WHERE (token, key) > (%(token)s, %(key)s) AND body IS NOT NULL ORDER BY token, key LIMIT %(limit)s
        """,
        "UPDATE answers SET body = %(body)s WHERE token = %(token)s AND key = %(key)s AND body = %(was_body)s",
        first={"token": "", "key": ""},
    ),
)
