"""What is known, kept in a database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from receiver.config import Config, pointing_to
from receiver.errors import ConfigError
from receiver.store.base import Store
from receiver.store.sqlite import SQLiteStore

__all__ = ["Store", "migrate", "open_store"]

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def open_store(config: Config) -> Store:
    """The store that the configuration names.

    A new database gets its tables. So does a file that an older Receiver made; a database on a server, which others
    may be using, is refused until `migrate` has run.

    Raises:
        ConfigError: the setting names no store we know.
        StoreUnavailable: it cannot be opened.
    """
    with pointing_to(config):
        if config.store.startswith(_POSTGRES):
            with _extra():
                from receiver.store.postgres import PostgresStore
            return PostgresStore(
                config.store,
                timeout=config.commit_timeout,
                max_hints=config.quarantine.max_count,
                max_hint_body=config.quarantine.max_body,
            )
        if not config.store.startswith(_SQLITE):
            raise ConfigError('store: must be "sqlite:///FILE", "sqlite:////ABSOLUTE/FILE" or "postgresql://…"')
        path = config.directory / Path(config.store.removeprefix(_SQLITE))
        return SQLiteStore(
            path,
            timeout=config.commit_timeout,
            max_hints=config.quarantine.max_count,
            max_hint_body=config.quarantine.max_body,
        )


def migrate(config: Config) -> Sequence[str]:
    """Bring the store's tables up to date, and say which steps were taken on a server; safe from every node at once.

    Raises:
        ConfigError: the setting names no store we know.
        StoreUnavailable: it cannot be done, or a newer Receiver made the tables.
    """
    with pointing_to(config):
        if config.store.startswith(_POSTGRES):
            with _extra():
                from receiver.store import postgres
            return postgres.migrate(config.store)
    # To open a file is to migrate it.
    open_store(config).close()
    return []


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise ConfigError('store: needs the extra: pip install "ai-media-receiver[postgres]"') from None
