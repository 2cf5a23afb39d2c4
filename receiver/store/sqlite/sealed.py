"""Which keys a file needs, and sealing it anew."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from receiver.clock import to_text
from receiver.store.base import Resealed
from receiver.store.resealing import Part, Values, reseal
from receiver.store.sealing import Seal
from receiver.store.sqlite.connection import Connection, connect, now_in
from receiver.store.sqlite.writer import Writer


def note_key(db: Connection) -> None:
    """Note that the first key seals from now on.

    Raises:
        ConfigError: there is no key, and others have sealed.
    """
    proof = db.seal.new_proof(_proofs(db))
    if proof is not None:
        db.execute("INSERT INTO seals (proof, made_at) VALUES (?, ?)", (proof, to_text(now_in(db))))


def require_keys(db: Connection) -> None:
    """See that there is each key that has sealed.

    Raises:
        KeyMissing: there is not.
    """
    db.seal.require(_proofs(db))


def reseal_all(path: Path, writer: Writer, seal: Seal, *, unseal: bool) -> Iterator[Resealed]:
    """Seal everything anew, and require the keys no more that are not needed any longer."""
    # One without the keys: it reads what is sealed as it is kept.
    with closing(connect(path)) as plain:

        def read(statement: str, values: Values) -> list[dict[str, Any]]:
            return [dict(row) for row in plain.execute(statement, values)]

        def write(statement: str, rows: Sequence[Values]) -> int:
            return writer.run(lambda db: db.executemany(statement, rows).rowcount)

        def forget(proofs: Sequence[str]) -> None:
            write("DELETE FROM seals WHERE proof = :proof", [{"proof": proof} for proof in proofs])

        yield from reseal(_PARTS, read, write, seal, unseal=unseal, proofs=_proofs(plain), forget=forget)


def _proofs(db: sqlite3.Connection) -> list[str]:
    return [row["proof"] for row in db.execute("SELECT proof FROM seals")]


_PARTS = (
    Part(
        "deliveries",
        """
        SELECT id, headers, body
        FROM (
            SELECT *, sum(length(body)) OVER (ORDER BY id) - length(body) AS bytes_before
            FROM (SELECT id, headers, body FROM deliveries WHERE id > :id ORDER BY id LIMIT :limit))
        WHERE bytes_before < :bytes ORDER BY id
        """,
        """
        UPDATE deliveries SET headers = :headers, body = :body
        WHERE id = :id AND headers = :was_headers AND body = :was_body
        """,
    ),
    Part(
        "quarantine",
        """
        SELECT id, headers, body
        FROM (
            SELECT *, sum(length(body)) OVER (ORDER BY id) - length(body) AS bytes_before
            FROM (SELECT id, headers, body FROM quarantine WHERE id > :id ORDER BY id LIMIT :limit))
        WHERE bytes_before < :bytes ORDER BY id
        """,
        """
        UPDATE quarantine SET headers = :headers, body = :body
        WHERE id = :id AND headers = :was_headers AND body = :was_body
        """,
    ),
    Part(
        "events",
        """
        SELECT id, outputs, failure, data
        FROM (
            SELECT *, sum(length(data)) OVER (ORDER BY id) - length(data) AS bytes_before
            FROM (SELECT id, outputs, failure, data FROM events WHERE id > :id ORDER BY id LIMIT :limit))
        WHERE bytes_before < :bytes ORDER BY id
        """,
        """
        UPDATE events SET outputs = :outputs, failure = :failure, data = :data
        WHERE id = :id AND outputs = :was_outputs AND failure IS :was_failure AND data = :was_data
        """,
    ),
    Part(
        "jobs",
        "SELECT id, metadata FROM jobs WHERE id > :id AND metadata <> '{}' ORDER BY id LIMIT :limit",
        "UPDATE jobs SET metadata = :metadata WHERE id = :id AND metadata = :was_metadata",
    ),
    Part(
        "intents",
        "SELECT rowid AS id, metadata FROM intents WHERE rowid > :id ORDER BY rowid LIMIT :limit",
        "UPDATE intents SET metadata = :metadata WHERE rowid = :id AND metadata = :was_metadata",
    ),
    Part(
        "answers",
        "SELECT rowid AS id, body FROM answers WHERE rowid > :id AND body IS NOT NULL ORDER BY rowid LIMIT :limit",
        "UPDATE answers SET body = :body WHERE rowid = :id AND body = :was_body",
    ),
)
