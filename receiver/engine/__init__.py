"""When and where dispatches run. Their rows in the store are the truth, whatever an engine does."""

from collections.abc import Mapping, Sequence
from functools import partial

from receiver import isolation
from receiver.config import Config, pointing_to
from receiver.engine.base import Engine
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError
from receiver.inbox import Source
from receiver.routing import Handler
from receiver.store.base import Store

__all__ = ["Engine", "open_engine"]


def open_engine(config: Config, store: Store, handlers: Sequence[Handler], sources: Mapping[str, Source]) -> Engine:
    """The engine that the configuration names.

    Raises:
        ConfigError: the engine's extra is missing, or a setting that it needs.
    """
    if config.engine == "celery":
        with pointing_to(config):
            try:
                from receiver.engine.feeder import Feeder
            except ImportError:
                raise ConfigError('engine: needs the extra: pip install "ai-media-receiver[celery]"') from None
        return Feeder(store, handlers, sources, config)
    return LocalEngine(
        store,
        handlers,
        sources,
        lease=config.worker.lease,
        drain=config.worker.drain,
        isolate=partial(isolation.attempt, config=config.file.resolve() if config.file.exists() else None),
    )
