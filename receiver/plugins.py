"""Find what is installed: provider adapters and handlers."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

import receiver.providers
from receiver.config import Config, HandlerConfig, SourceConfig, pointing_to
from receiver.errors import ConfigError, NotConfigured
from receiver.inbox import Source
from receiver.providers.base import Provider
from receiver.routing import Handler, HandlerSettings, Route, Router

PROVIDERS = "receiver.providers"
HANDLERS = "receiver.handlers"
"""The entry point groups that packages use to add their own."""

_S = TypeVar("_S", bound=BaseModel)

_FOR_POLLS = ("api_key", "base_url", "budget")
_NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


@cache
def providers() -> Mapping[str, type[Provider]]:
    """Every adapter by name: one for each file in `receiver/providers/`, and those that other packages bring.

    Raises:
        ConfigError: another package's adapter cannot be imported.
    """
    shipped = [
        importlib.import_module(f"{receiver.providers.__name__}.{module.name}")
        for module in pkgutil.iter_modules(receiver.providers.__path__)
    ]
    found = [adapter for module in shipped for adapter in _adapters(module)]
    found += [_imported(entry) for entry in entry_points(group=PROVIDERS)]
    return {adapter.name: adapter for adapter in found}


def provider(name: str) -> type[Provider]:
    """The adapter of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in providers():
        raise ConfigError(f"there is no provider {name!r}; there are: {', '.join(sorted(providers()))}")
    return providers()[name]


def sources(config: Config) -> dict[str, Source]:
    """The configured sources by name.

    Raises:
        ConfigError: a source names no known provider, or its secrets do not fit it.
    """
    with pointing_to(config):
        return {name: _source(name, table) for name, table in config.sources.items()}


def source(known: Mapping[str, Source], name: str) -> Source:
    """The source of that name.

    Raises:
        NotConfigured: there is none.
    """
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotConfigured(f"there is no source {name!r} in the configuration (there are: {names})")
    return known[name]


def handlers(config: Config) -> list[Handler]:
    """The handlers that the configuration switches on.

    Raises:
        ConfigError: naming the table and what is wrong with it.
    """
    with pointing_to(config):
        return [
            handler
            for name, table in config.handlers.items()
            if table.enabled
            for handler in handlers_of(name, _handler_module(name, table, config.directory), table)
        ]


def handlers_of(name: str, module: ModuleType, table: HandlerConfig) -> list[Handler]:
    """The handlers in a module, one for each function, as a table of that name sets them up.

    Raises:
        ConfigError: naming the table and what is wrong with it.
    """
    router = getattr(module, "router", None)
    if not isinstance(router, Router) or not router.routes:
        raise ConfigError(f"handlers.{name}: {module.__name__} has no `router = Router()` with a function on it")
    for function in router.routes:
        if any(kind(function) for kind in _NOT_PLAIN):
            told = f"handlers.{name}: {function.__name__} is async or has a yield, and would not run when called"
            raise ConfigError(f"{told}; write a plain function, it has a thread of its own")
    settings = _own_settings(f"handlers.{name}", router.settings or HandlerSettings, table.own_settings)
    return [
        Handler(
            name=name if len(router.routes) == 1 else f"{name}.{function.__name__}",
            function=function,
            routes=tuple(routes),
            filter=Route(table.source, table.type, frozenset(table.status), frozenset(table.kind)),
            settings=settings,
            max_attempts=table.max_attempts,
            timeout=table.timeout,
            concurrency=table.concurrency,
            first_wait=table.first_wait,
            longest_wait=table.longest_wait,
            limit=table.limit,
            park_after=table.park_after,
            isolated=table.isolated,
        )
        for function, routes in router.routes.items()
    ]


def handler_files(config: Config) -> list[Path]:
    """The Python files that handlers are written in, and their neighbours; none of those that packages bring."""
    folders = {(config.directory / table.path).parent for table in config.handlers.values() if table.path is not None}
    folders |= {config.directory} if any(table.module for table in config.handlers.values()) else set()
    return sorted(file for folder in folders for file in folder.glob("**/*.py"))


def installed_handlers() -> list[str]:
    """The names of the handlers that packages bring."""
    return sorted({entry.name for entry in entry_points(group=HANDLERS)})


def _adapters(module: ModuleType) -> Iterable[type[Provider]]:
    for value in vars(module).values():
        own = isinstance(value, type) and issubclass(value, Provider) and value.__module__ == module.__name__
        if own and hasattr(value, "name"):
            yield value


def _imported(entry: EntryPoint) -> type[Provider]:
    try:
        adapter = entry.load()
    except Exception as error:
        raise ConfigError(f"the provider {entry.name!r} ({entry.value}) cannot be imported: {error!r}") from error
    if not (isinstance(adapter, type) and issubclass(adapter, Provider)):
        raise ConfigError(f"the provider {entry.name!r} ({entry.value}) is not a Provider class")
    return adapter


def _source(name: str, table: SourceConfig) -> Source:
    key = f"sources.{name}"
    if table.provider not in providers():
        known = ", ".join(sorted(providers()))
        raise ConfigError(f"{key}.provider: there is no provider {table.provider!r}; there are: {known}")
    adapter = providers()[table.provider]
    if not adapter.polls and (unneeded := [field for field in _FOR_POLLS if getattr(table, field) is not None]):
        raise ConfigError(f"{key}.{unneeded[0]}: {table.provider} cannot be asked about anything; remove it")
    if adapter.polls and not adapter.base_url and table.base_url is None:
        raise ConfigError(f"{key}.base_url: every {table.provider} has an address of its own; give that of yours")
    provider = adapter(
        secrets=[secret.get_secret_value() for secret in table.secrets],
        api_key=table.api_key.get_secret_value() if table.api_key is not None else None,
        base_url=table.base_url,
        unsigned=table.unsigned,
        settings=_own_settings(key, adapter.settings_class, table.own_settings),
    )
    if provider.key_pair and provider.api_key is not None and not all(provider.access_keys):
        raise ConfigError(f"{key}.api_key: {table.provider} gives out two keys; write them as ACCESS:SECRET")
    _check_trust(key, table, provider)
    return Source(name, provider, table.budget, table.deadline)


def _check_trust(key: str, table: SourceConfig, provider: Provider) -> None:
    """Refuse secrets that do not fit the provider, and webhooks that nothing could prove."""
    if not provider.sends_webhooks and (table.secrets or table.unsigned):
        unneeded = "unsigned" if table.unsigned else "secrets"
        raise ConfigError(f"{key}.{unneeded}: {table.provider} sends no webhooks to verify; remove it")
    if provider.keys_url is not None and table.secrets:
        raise ConfigError(f"{key}.secrets: {table.provider} publishes the keys that verify its webhooks; remove it")
    own_way = type(provider).verify is not Provider.verify
    if provider.sends_webhooks and provider.scheme is None and not own_way and table.secrets:
        raise ConfigError(f"{key}.secrets: {table.provider} signs no webhooks; remove it")
    if provider.scheme is not None and provider.keys_url is None and not table.secrets and not table.unsigned:
        raise ConfigError(
            f"{key}.secrets: {table.provider} signs its webhooks; give the signing secret, "
            "or write unsigned = true to take them as hints only"
        )
    if table.unsigned and table.secrets:
        raise ConfigError(f"{key}.unsigned: with secrets every webhook must be signed; remove one of the two")
    for index, secret in enumerate(provider.secrets):
        if provider.scheme is not None and (fault := provider.scheme.fault(secret)):
            raise ConfigError(f"{key}.secrets[{index}]: {fault}")
    signed = own_way or (provider.scheme is not None and provider.scheme.covers_body and not table.unsigned)
    if not provider.sends_webhooks or signed:
        return
    if not provider.polls:
        raise ConfigError(f"{key}.unsigned: {table.provider} cannot be asked, so nothing would ever prove a webhook")
    if provider.api_key is None:
        raise ConfigError(
            f"{key}.api_key: unsigned webhooks are only hints, which need the key to be confirmed by a poll"
        )


def _handler_module(name: str, table: HandlerConfig, directory: Path) -> ModuleType:
    if table.path is not None and table.module is not None:
        raise ConfigError(f"handlers.{name}: give path or module, not both")
    try:
        if table.path is not None:
            return _from_file(name, directory / table.path)
        if table.module is not None:
            _importable_from(directory)
            return importlib.import_module(table.module)
        return importlib.import_module(_installed(name))
    except ConfigError:
        raise
    # Whatever a stranger's module raises as it is imported, `sys.exit()` included.
    except (Exception, SystemExit) as error:
        raise ConfigError(f"handlers.{name}: cannot be imported: {error!r}") from error


def _from_file(name: str, file: Path) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"handlers.{name}.path: there is no file {file}")
    # The handler's neighbours can be imported, as if it were run as a script.
    _importable_from(file.parent)
    module_name = f"receiver_handler_{name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"handlers.{name}.path: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _importable_from(folder: Path) -> None:
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)


def _installed(name: str) -> str:
    for entry in entry_points(group=HANDLERS, name=name):
        return entry.value
    known = ", ".join(installed_handlers())
    raise ConfigError(f"handlers.{name}: no installed handler has that name (there are: {known}); give path or module")


def _own_settings(key: str, settings: type[_S], values: Mapping[str, Any]) -> _S:
    """The settings that are not Receiver's.

    Raises:
        ConfigError: naming the key and what is wrong with it.
    """
    try:
        return settings(**values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        text = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{'.'.join(map(str, [key, *wrong['loc']]))}: {text}") from None
