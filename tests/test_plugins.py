"""Finding providers and handlers."""

import sys
from datetime import timedelta

import pytest

from receiver import plugins
from receiver.config import from_tables
from receiver.errors import ConfigError
from receiver.models import Budget, Event, Status
from receiver.providers.creativeai import CreativeAI

EVENT = Event(source="studio", key="job_1:succeeded", type="video.generation.completed", data={})

ONE = """
from receiver import Router
router = Router()

@router.on("studio", "video.*")
def archive(event):
    return "archived"
"""

TWO = """
from receiver import Router
router = Router()

@router.on("studio")
def first(event): ...

@router.on("other")
@router.on("studio")
def second(event): ...
"""

WITH_SETTINGS = """
from pydantic import SecretStr
from receiver import HandlerSettings, Router

class Settings(HandlerSettings):
    folder: str
    count: int = 3
    token: SecretStr = SecretStr("")

router = Router(settings=Settings)

@router.on()
def archive(event, context): ...
"""


PROVIDER = """
from receiver.providers.base import Provider

class Ours(Provider):
    name = "ours"
    base_url = "https://ours.example"
"""


@pytest.fixture(autouse=True)
def imported(monkeypatch):
    """What a test imports is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


@pytest.fixture
def load(tmp_path):
    """The handlers that tables in a configuration file switch on."""

    def load(**tables):
        return plugins.handlers(from_tables({"handlers": tables}, file=tmp_path / "receiver.toml"))

    return load


@pytest.fixture
def write(tmp_path):
    """Write a handler's file."""

    def write(text, name="archive.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.fixture
def install(tmp_path):
    """Put a package beside those that are installed."""

    def install(entry_points, code):
        information = tmp_path / "ours-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(entry_points)
        (tmp_path / "ours_to_install.py").write_text(code)
        sys.path.append(str(tmp_path))
        plugins.providers.cache_clear()

    yield install
    plugins.providers.cache_clear()


def sources(**keys):
    return plugins.sources(from_tables({"sources": {"studio": {"provider": "creativeai"} | keys}}))


# Providers


def test_finds_providers_by_looking_in_the_folder():
    assert plugins.providers()["creativeai"] is CreativeAI


def test_gives_a_provider_by_its_name():
    assert plugins.provider("creativeai") is CreativeAI


def test_says_which_providers_there_are():
    with pytest.raises(ConfigError, match=r"no provider 'creative'; there are: .*creativeai"):
        plugins.provider("creative")


def test_every_provider_has_what_the_others_have():
    for name, provider in plugins.providers().items():
        assert provider.name == name
        assert not provider.base_url or provider.base_url.startswith("https://")
        if provider.polls:
            assert provider.statuses
            assert provider.kinds
            assert provider.budget


def test_finds_a_provider_that_is_installed(install):
    install("[receiver.providers]\nours = ours_to_install:Ours", PROVIDER)

    assert plugins.provider("ours").base_url == "https://ours.example"
    assert plugins.provider("creativeai") is CreativeAI


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param("1 / 0", "cannot be imported: ZeroDivisionError", id="raises"),
        pytest.param("Ours = 3", "is not a Provider class", id="number"),
        pytest.param("class Ours: pass", "is not a Provider class", id="another-class"),
    ],
)
def test_names_an_installed_provider_that_is_none(install, code, text):
    install("[receiver.providers]\nours = ours_to_install:Ours", code)

    with pytest.raises(ConfigError, match=rf"^the provider 'ours' \(ours_to_install:Ours\) {text}"):
        plugins.providers()


# Sources


def test_configures_a_provider_for_each_source():
    studio = sources(secrets=["one", "two"], api_key="key", base_url="http://127.0.0.1:9/", budget="3/s")["studio"]

    assert (studio.name, studio.provider.secrets, studio.provider.api_key) == ("studio", ("one", "two"), "key")
    assert (studio.provider.base_url, studio.budget) == ("http://127.0.0.1:9", Budget(3, timedelta(seconds=1)))


def test_a_source_without_a_budget_has_none():
    assert sources(secrets=["one"])["studio"].budget is None


def test_a_source_may_be_unsigned():
    assert sources(unsigned=True, api_key="key")["studio"].provider.unsigned


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param(
            {"provider": "creative"}, r"^receiver\.toml: sources\.studio\.provider: .*creativeai", id="unknown-provider"
        ),
        pytest.param({}, r"^receiver\.toml: sources\.studio\.secrets: creativeai signs its webhooks", id="no-secret"),
        pytest.param(
            {"unsigned": True, "secrets": ["one"]}, r"^receiver\.toml: sources\.studio\.unsigned: ", id="both"
        ),
        pytest.param({"unsigned": True}, r"^receiver\.toml: sources\.studio\.api_key: ", id="hints-without-a-key"),
        pytest.param(
            {"secrets": ["one"], "secret": "two"},
            r"^receiver\.toml: sources\.studio\.secret: unknown key",
            id="unknown-key",
        ),
    ],
)
def test_names_the_key_of_a_source(keys, text):
    with pytest.raises(ConfigError, match=text):
        sources(**keys)


def test_shows_no_secret_of_a_source():
    assert "private" not in repr(sources(secrets=["private"], api_key="private"))


# Handlers


def test_loads_a_handler_from_a_file(load, write):
    [handler] = load(archive={"path": write(ONE)})

    assert (handler.name, handler.function(EVENT)) == ("archive", "archived")
    assert handler.wants(EVENT, "creativeai")


def test_loads_a_handler_from_a_folder_below(load, write, tmp_path):
    (tmp_path / "handlers").mkdir()

    assert len(load(archive={"path": write(ONE, "handlers/archive.py")})) == 1


def test_loads_a_handler_from_a_path_anywhere(load, write, tmp_path):
    assert len(load(archive={"path": str(tmp_path / write(ONE))})) == 1


def test_loads_a_handler_from_a_module(load, write, tmp_path):
    write(ONE, "ours_to_archive.py")
    sys.path.append(str(tmp_path))

    [handler] = load(archive={"module": "ours_to_archive"})

    assert handler.function(EVENT) == "archived"


def test_loads_a_handler_from_a_module_beside_the_configuration(load, write, tmp_path):
    (tmp_path / "handlers_of_ours").mkdir()
    write(ONE, "handlers_of_ours/orders.py")

    [handler] = load(archive={"module": "handlers_of_ours.orders"})

    assert handler.function(EVENT) == "archived"


def test_loads_a_handler_that_is_installed(load, install):
    install("[receiver.handlers]\nours = ours_to_install", ONE)

    [handler] = load(ours={})

    assert (handler.name, handler.function(EVENT)) == ("ours", "archived")
    assert "ours" in plugins.installed_handlers()


def test_a_handler_can_import_its_neighbours(load, write):
    write("NAME = 'neighbour'", "neighbour_of_archive.py")

    assert load(archive={"path": write("import neighbour_of_archive\n" + ONE)})


def test_names_the_functions_where_a_module_has_several(load, write):
    handlers = load(pair={"path": write(TWO)})

    assert [(handler.name, len(handler.routes)) for handler in handlers] == [("pair.first", 1), ("pair.second", 2)]


def test_one_file_may_serve_several_tables(load, write):
    file = write(ONE)

    handlers = load(video={"path": file, "kind": "video"}, failed={"path": file, "status": "failed"})

    assert [handler.name for handler in handlers] == ["video", "failed"]
    assert handlers[0].function is not handlers[1].function


def test_does_not_load_what_is_switched_off(load, write):
    assert load(archive={"path": write("raise RuntimeError"), "enabled": False}) == []


def test_takes_its_limits_from_the_table(load, write):
    limits = {"max_attempts": 2, "timeout": "7s", "concurrency": 5, "first_wait": "1s", "longest_wait": "9s"}

    [handler] = load(archive={"path": write(ONE)} | limits)

    assert (handler.max_attempts, handler.timeout, handler.concurrency) == (2, timedelta(seconds=7), 5)
    assert (handler.first_wait, handler.longest_wait) == (timedelta(seconds=1), timedelta(seconds=9))


def test_takes_its_filter_from_the_table(load, write):
    table = {"source": "a*", "type": "b*", "status": ["failed"], "kind": ["video"]}

    [handler] = load(archive={"path": write(ONE)} | table)

    narrowed = handler.filter
    assert (narrowed.source, narrowed.type) == ("a*", "b*")
    assert (narrowed.statuses, narrowed.kinds) == ({Status.FAILED}, {"video"})


def test_gives_a_handler_its_own_settings(load, write):
    [handler] = load(archive={"path": write(WITH_SETTINGS), "folder": "media"})

    assert (handler.settings.folder, handler.settings.count) == ("media", 3)


@pytest.mark.parametrize(
    ("code", "table", "text"),
    [
        pytest.param(ONE, {"path": "missing.py"}, r"archive\.path: there is no file .*missing\.py", id="no-file"),
        pytest.param(ONE, {"path": "."}, r"archive\.path: there is no file", id="folder"),
        pytest.param(ONE, {"path": "archive.txt"}, r"archive\.path: .* is not a Python file", id="not-python"),
        pytest.param(ONE, {"path": "archive.py", "module": "archive"}, "archive: give path or module", id="both"),
        pytest.param(ONE, {"module": "no_such_module"}, "archive: cannot be imported: .*no_such_module", id="module"),
        pytest.param("def (", {"path": "archive.py"}, "archive: cannot be imported: SyntaxError", id="syntax"),
        pytest.param("1 / 0", {"path": "archive.py"}, "archive: cannot be imported: ZeroDivisionError", id="raises"),
        pytest.param("import sys; sys.exit(3)", {"path": "archive.py"}, r"cannot be imported: SystemExit", id="exits"),
        pytest.param("", {"path": "archive.py"}, "archive: .* has no `router = Router", id="no-router"),
        pytest.param("router = 3", {"path": "archive.py"}, "archive: .* has no `router = Router", id="not-a-router"),
        pytest.param(
            "from receiver import Router\nrouter = Router()",
            {"path": "archive.py"},
            "function on it",
            id="empty-router",
        ),
        pytest.param(
            ONE.replace("def ", "async def "), {"path": "archive.py"}, "archive: archive is async", id="async-function"
        ),
        pytest.param(
            ONE.replace("return", "yield"), {"path": "archive.py"}, "archive: archive .* has a yield", id="generator"
        ),
        pytest.param(
            ONE.replace("def ", "async def ").replace("return", "yield"),
            {"path": "archive.py"},
            "archive: archive is async",
            id="async-generator",
        ),
        pytest.param(ONE, {"path": "archive.py", "folder": "x"}, r"archive\.folder: unknown key", id="unknown-key"),
        pytest.param(WITH_SETTINGS, {"path": "archive.py"}, r"archive\.folder: Field required", id="missing-key"),
        pytest.param(
            WITH_SETTINGS, {"path": "archive.py", "folder": "x", "count": "many"}, r"archive\.count: ", id="wrong-value"
        ),
        pytest.param(
            WITH_SETTINGS, {"path": "archive.py", "folder": "x", "counts": 1}, r"archive\.counts: unknown", id="typing"
        ),
    ],
)
def test_names_the_table_and_the_key_of_a_handler(load, write, code, table, text):
    write(code)
    write(code, "archive.txt")

    with pytest.raises(ConfigError, match=rf": handlers\.(?=archive).*{text}"):
        load(archive=table)


def test_says_which_handlers_are_installed(load):
    with pytest.raises(ConfigError, match=r": handlers\.nobody: no installed handler has that name .*give path"):
        load(nobody={})


def test_shows_no_setting_that_is_wrong(load, write):
    with pytest.raises(ConfigError) as refused:
        load(archive={"path": write(WITH_SETTINGS), "folder": "x", "token": ["private"]})

    assert "private" not in str(refused.value)


def test_forgets_a_module_that_cannot_be_imported(load, write):
    with pytest.raises(ConfigError):
        load(archive={"path": write("1 / 0")})

    assert "receiver_handler_archive" not in sys.modules


def test_loads_a_handler_after_it_was_mended(load, write):
    with pytest.raises(ConfigError):
        load(archive={"path": write("1 / 0")})

    assert load(archive={"path": write(ONE)})
