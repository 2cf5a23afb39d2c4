"""What is known, kept in a database."""

from pathlib import Path

from receiver.config import Config, pointing_to
from receiver.errors import ConfigError
from receiver.store.base import Store
from receiver.store.sqlite import SQLiteStore

__all__ = ["Store", "open_store"]

_SQLITE = "sqlite:///"


def open_store(config: Config) -> Store:
    """The store that the configuration names, with its tables up to date.

    Raises:
        ConfigError: the setting names no store we know.
        StoreUnavailable: it cannot be opened.
    """
    with pointing_to(config):
        if not config.store.startswith(_SQLITE):
            raise ConfigError('store: must be "sqlite:///FILE" or "sqlite:////ABSOLUTE/FILE"')
        path = config.directory / Path(config.store.removeprefix(_SQLITE))
        return SQLiteStore(
            path,
            timeout=config.commit_timeout,
            max_hints=config.quarantine.max_count,
            max_hint_body=config.quarantine.max_body,
        )
