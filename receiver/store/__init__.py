"""What is known, kept in a database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from receiver.config import Config, pointing_to
from receiver.errors import ConfigError
from receiver.store.base import Store
from receiver.store.copying import Tables, copy
from receiver.store.late import opened_late
from receiver.store.sealing import Seal
from receiver.store.sqlite import SQLiteStore

__all__ = ["Store", "Tables", "copy", "migrate", "open_store", "open_store_late", "open_tables", "sqlite_file"]

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def open_store(config: Config, *, gather: Callable[[], object] = lambda: None) -> Store:
    """The store that the configuration names.

    Threads that write at the same time share a commit. Where they only take turns, `gather` gives all of them theirs.

    A new database gets its tables. So does a file that an older Receiver made; a database on a server, which others
    may be using, is refused until `migrate` has run.

    Raises:
        ConfigError: the setting names no store we know, or one that is sealed while there are no keys.
        StoreUnavailable: it cannot be opened.
    """
    seal = Seal([key.get_secret_value() for key in config.seal_keys])
    with pointing_to(config):
        if config.store.startswith(_POSTGRES):
            with _extra():
                from receiver.store.postgres import PostgresStore
            return PostgresStore(
                config.store,
                timeout=config.commit_timeout,
                max_hints=config.quarantine.max_count,
                max_hint_body=config.quarantine.max_body,
                seal=seal,
                gather=gather,
            )
        return SQLiteStore(
            _file(config),
            timeout=config.commit_timeout,
            max_hints=config.quarantine.max_count,
            max_hint_body=config.quarantine.max_body,
            seal=seal,
            gather=gather,
        )


def open_store_late(config: Config, *, gather: Callable[[], object] = lambda: None) -> Store:
    """The same for a process that must begin without it, too: where it cannot be opened, each use of it tries again.

    A server whose process is replaced while the store is away would else end.

    Raises:
        ConfigError: the setting names no store we know, or one that is sealed while there are no keys.
    """
    return opened_late(lambda: open_store(config, gather=gather))


def open_tables(config: Config, *, target: bool = False) -> Tables:
    """The tables of the store that the configuration names, for nobody else meanwhile; a target may be new.

    Raises:
        ConfigError: the setting names no store we know, or none that is there.
        StoreUnavailable: it cannot be opened, or somebody else uses it.
    """
    with pointing_to(config):
        if config.store.startswith(_POSTGRES):
            with _extra():
                from receiver.store.postgres.tables import PostgresTables
            return PostgresTables(config.store, target=target)
        from receiver.store.sqlite.tables import SQLiteTables

        return SQLiteTables(_file(config), create=target)


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


def sqlite_file(config: Config) -> Path | None:
    """The file that everything is kept in; None for a store on a server."""
    return None if config.store.startswith(_POSTGRES) else _file(config)


def _file(config: Config) -> Path:
    if not config.store.startswith(_SQLITE):
        raise ConfigError('store: must be "sqlite:///FILE", "sqlite:////ABSOLUTE/FILE" or "postgresql://…"')
    return config.directory / Path(config.store.removeprefix(_SQLITE))


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise ConfigError('store: needs the extra: pip install "ai-media-receiver[postgres]"') from None
