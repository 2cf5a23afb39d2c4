"""Everything in one PostgreSQL database, shared by any number of nodes."""

from receiver.store.postgres.schema import migrate
from receiver.store.postgres.store import PostgresStore

__all__ = ["PostgresStore", "migrate"]
