"""The configuration."""

from datetime import timedelta

import pytest

from receiver.config import from_tables, load
from receiver.errors import ConfigError
from receiver.models import Budget, Status

PRIVATE = "not-for-anybody"
SOURCE = {"provider": "creativeai"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path):
    """Write the configuration file."""

    def write(text):
        file = tmp_path / "receiver.toml"
        file.write_text(text, "utf-8")
        return file

    return write


def refusal(tables):
    with pytest.raises(ConfigError) as refused:
        from_tables(tables)
    return str(refused.value)


def source(**keys):
    return from_tables({"sources": {"studio": SOURCE | keys}}).sources["studio"]


def secrets(config):
    return [secret.get_secret_value() for secret in config.sources["studio"].secrets]


# Where it comes from


def test_everything_has_a_default():
    config = load()

    assert (config.store, config.web.bind, config.sources) == ("sqlite:///receiver.db", "127.0.0.1:8080", {})


def test_the_file_overrules_the_defaults(write):
    write('[web]\nbind = "0.0.0.0:80"')

    assert load().web.bind == "0.0.0.0:80"


def test_the_environment_overrules_the_file(write, monkeypatch):
    write('[web]\nbind = "0.0.0.0:80"\nconnections = 3')
    monkeypatch.setenv("RECEIVER_WEB__BIND", "127.0.0.1:81")

    assert (load().web.bind, load().web.connections) == ("127.0.0.1:81", 3)


def test_the_environment_overrules_a_setting_without_a_table(write, monkeypatch):
    write('store = "sqlite:///a.db"')
    monkeypatch.setenv("RECEIVER_STORE", "sqlite:///b.db")

    assert load().store == "sqlite:///b.db"


def test_the_environment_adds_to_a_source_of_the_file(write, monkeypatch):
    write('[sources.studio]\nprovider = "creativeai"')
    monkeypatch.setenv("RECEIVER_SOURCES__STUDIO__API_KEY", PRIVATE)

    studio = load().sources["studio"]
    assert (studio.provider, studio.api_key.get_secret_value()) == ("creativeai", PRIVATE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [pytest.param("one", ["one"], id="one"), pytest.param('["one", "two"]', ["one", "two"], id="several")],
)
def test_the_environment_gives_secrets(monkeypatch, value, expected):
    monkeypatch.setenv("RECEIVER_SOURCES__STUDIO__PROVIDER", "creativeai")
    monkeypatch.setenv("RECEIVER_SOURCES__STUDIO__SECRETS", value)

    assert secrets(load()) == expected


def test_reads_the_file_that_is_given(tmp_path):
    file = tmp_path / "other.toml"
    file.write_text('store = "sqlite:///other.db"')

    assert load(file).store == "sqlite:///other.db"


def test_reads_the_file_that_the_environment_names(tmp_path, monkeypatch):
    file = tmp_path / "other.toml"
    file.write_text('store = "sqlite:///other.db"')
    monkeypatch.setenv("RECEIVER_CONFIG", str(file))

    assert load().store == "sqlite:///other.db"


def test_paths_start_at_the_folder_of_the_file(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "receiver.toml").write_text("")

    assert load("etc/receiver.toml").directory == folder


def test_where_paths_start_is_no_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("RECEIVER_DIRECTORY", "/somewhere")

    assert load().directory == tmp_path


def test_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().store = "another"


# What it refers to


def test_takes_a_value_from_the_environment(write, monkeypatch):
    write('[sources.studio]\nprovider = "creativeai"\nsecrets = ["${OURS}", "a-${OURS}-b"]')
    monkeypatch.setenv("OURS", PRIVATE)

    assert secrets(load()) == [PRIVATE, f"a-{PRIVATE}-b"]


def test_takes_a_value_from_a_file_beside_it(write, tmp_path):
    write('[sources.studio]\nprovider = "creativeai"\nsecrets = ["${file:keys/secret}"]')
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret").write_text(f"{PRIVATE}\n")

    assert secrets(load()) == [PRIVATE]


def test_takes_a_value_from_a_file_anywhere(write, tmp_path):
    (tmp_path / "secret").write_text(PRIVATE)
    write(f'[sources.studio]\nprovider = "creativeai"\nsecrets = ["${{file:{tmp_path}/secret}}"]')

    assert secrets(load()) == [PRIVATE]


def test_a_value_is_not_looked_into_again(write, monkeypatch):
    write('store = "${OURS}"')
    monkeypatch.setenv("OURS", "sqlite:///${HOME}")

    assert load().store == "sqlite:///${HOME}"


def test_a_handlers_own_settings_may_refer_to_the_environment(monkeypatch):
    monkeypatch.setenv("OURS", PRIVATE)

    config = from_tables({"handlers": {"post": {"headers": {"token": "${OURS}"}}}})

    assert config.handlers["post"].own_settings == {"headers": {"token": PRIVATE}}


# What it understands


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("30s", 30, id="seconds"),
        pytest.param("1.5m", 90, id="fraction"),
        pytest.param("2 h", 7200, id="space"),
        pytest.param("7d", 604800, id="days"),
        pytest.param(5, 5, id="number"),
        pytest.param(0.5, 0.5, id="part-of-a-second"),
    ],
)
def test_reads_durations(value, seconds):
    assert from_tables({"commit_timeout": value}).commit_timeout == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        pytest.param("512", 512, id="bytes"),
        pytest.param("512kB", 512_000, id="thousands"),
        pytest.param("1MiB", 2**20, id="powers-of-two"),
        pytest.param("0.5 gb", 500_000_000, id="fraction"),
        pytest.param(512, 512, id="number"),
    ],
)
def test_reads_sizes(value, count):
    assert from_tables({"web": {"max_body": value}}).web.max_body == count


@pytest.mark.parametrize(
    ("value", "budget"),
    [
        pytest.param("10/s", Budget(10, timedelta(seconds=1)), id="second"),
        pytest.param("100/min", Budget(100, timedelta(minutes=1)), id="minute"),
        pytest.param("1000/h", Budget(1000, timedelta(hours=1)), id="hour"),
    ],
)
def test_reads_budgets(value, budget):
    assert source(budget=value).budget == budget


def test_reads_one_status_or_several():
    config = from_tables({"handlers": {"one": {"status": "failed"}, "two": {"status": ["failed", "lost"]}}})

    assert config.handlers["one"].status == (Status.FAILED,)
    assert config.handlers["two"].status == (Status.FAILED, Status.LOST)


def test_leaves_a_handler_the_keys_that_are_its_own():
    config = from_tables({"handlers": {"archive": {"timeout": "1m", "folder": "media", "deep": {"a": 1}}}})

    assert config.handlers["archive"].own_settings == {"folder": "media", "deep": {"a": 1}}


# What is wrong


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        pytest.param({"stor": "x"}, "stor: unknown key", id="unknown"),
        pytest.param({"directory": "/"}, "directory: unknown key", id="not-a-setting"),
        pytest.param({"web": {"bindd": "x"}}, "web.bindd: unknown key", id="unknown-in-table"),
        pytest.param({"sources": {"studio": {}}}, "sources.studio.provider: ", id="missing"),
        pytest.param({"sources": {"Studio One": SOURCE}}, "sources.Studio One: ", id="name"),
        pytest.param({"handlers": {"a.b": {}}}, "handlers.a.b: ", id="name-of-handler"),
        pytest.param({"web": "x"}, "web: ", id="not-a-table"),
        pytest.param({"web": {"workers": 0}}, "web.workers: ", id="too-small"),
        pytest.param({"web": {"workers": "many"}}, "web.workers: ", id="not-a-number"),
        pytest.param({"log_format": "xml"}, "log_format: ", id="not-a-choice"),
        pytest.param({"commit_timeout": "soon"}, 'commit_timeout: write a duration as "30s"', id="duration"),
        pytest.param({"commit_timeout": "0s"}, "commit_timeout: ", id="no-time"),
        pytest.param({"commit_timeout": -1}, "commit_timeout: ", id="negative"),
        pytest.param({"commit_timeout": "9" * 20 + "d"}, "commit_timeout: ", id="absurd-duration"),
        pytest.param({"commit_timeout": 1e300}, "commit_timeout: ", id="absurd-seconds"),
        pytest.param({"commit_timeout": "１s"}, "commit_timeout: ", id="full-width"),  # noqa: RUF001 - the point
        pytest.param({"web": {"max_body": "big"}}, 'web.max_body: write a size as "512kB"', id="size"),
        pytest.param({"web": {"max_body": "9" * 400}}, "web.max_body: ", id="absurd-size"),
        pytest.param({"sources": {"studio": SOURCE | {"budget": "10/d"}}}, "budget: write a budget as", id="budget"),
        pytest.param({"sources": {"studio": SOURCE | {"budget": "0/s"}}}, "sources.studio.budget: ", id="no-budget"),
        pytest.param({"sources": {"studio": SOURCE | {"budget": "9" * 5000 + "/s"}}}, "budget: ", id="absurd-budget"),
        pytest.param({"sources": {"studio": SOURCE | {"base_url": "ftp://x"}}}, "sources.studio.base_url: ", id="url"),
        pytest.param({"sources": {"studio": SOURCE | {"secrets": [""]}}}, "secrets: a secret is empty", id="empty"),
        pytest.param({"sources": {"studio": SOURCE | {"api_key": ""}}}, "api_key: is empty; leave", id="empty-key"),
        pytest.param({"handlers": {"archive": {"max_attempts": 0}}}, "handlers.archive.max_attempts: ", id="attempts"),
        pytest.param({"handlers": {"archive": {"status": ["ok"]}}}, "handlers.archive.status.0: ", id="status"),
        pytest.param({"store": "${MISSING}"}, "store: the environment has no MISSING", id="variable"),
        pytest.param({"web": {"bind": "${file:missing}"}}, "web.bind: cannot read missing: ", id="file"),
        pytest.param({"x": {"list": ["", "${MISSING}"]}}, "x.list[1]: ", id="variable-in-a-list"),
    ],
)
def test_names_the_file_and_the_key(tables, key):
    assert refusal(tables).startswith("receiver.toml: ")
    assert key in refusal(tables)


def test_says_everything_that_is_wrong_at_once():
    lines = refusal({"web": {"workers": 0, "connections": 0}, "nonsense": 1}).splitlines()

    assert [line.split(": ")[1] for line in lines] == ["web.workers", "web.connections", "nonsense"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("RECEIVER_COMMIT_TIMEOUT", "soon", id="value"),
        pytest.param("RECEIVER_WEB__WORKERS", "many", id="value-in-table"),
        pytest.param("RECEIVER_WEB__BINDD", "x", id="unknown-in-table"),
    ],
)
def test_names_the_variable(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    assert refusal({}).startswith(f"{variable}: ")


def test_refuses_a_table_in_a_variable_that_is_no_json(monkeypatch):
    monkeypatch.setenv("RECEIVER_WEB", PRIVATE)

    assert '"web"' in refusal({})
    assert PRIVATE not in refusal({})


def test_names_the_file_that_is_missing():
    with pytest.raises(ConfigError, match=r"^there\.toml: there is no such file"):
        load("there.toml")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"store = ", id="not-toml"),
        pytest.param(b"store = 1\nstore = 2", id="twice"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b"secrets = [" + PRIVATE.encode(), id="half-a-list"),
    ],
)
def test_names_the_file_that_cannot_be_read(tmp_path, content):
    (tmp_path / "receiver.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"^receiver\.toml: cannot be read: ") as refused:
        load()

    assert PRIVATE not in str(refused.value)


def test_names_the_folder_that_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


# What stays secret


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param({"secrets": PRIVATE, "budget": "x"}, id="beside-what-is-wrong"),
        pytest.param({"secrets": f"[{PRIVATE}"}, id="list"),
        pytest.param({"secrets": [PRIVATE, ""]}, id="beside-an-empty-one"),
        pytest.param({"secrets": {"a": PRIVATE}}, id="table"),
        pytest.param({"api_key": [PRIVATE]}, id="key"),
        pytest.param({"base_url": f"https//{PRIVATE}@host"}, id="url"),
        pytest.param({"unsigned": PRIVATE}, id="switch"),
        pytest.param({PRIVATE + "!": PRIVATE, "budget": PRIVATE}, id="budget"),
    ],
)
def test_an_error_shows_no_value(tables):
    lines = refusal({"sources": {"studio": SOURCE | tables}}).splitlines()

    assert PRIVATE not in "".join(line.split(": ", 2)[2] for line in lines)


def test_an_error_has_no_cause_that_shows_values():
    with pytest.raises(ConfigError) as refused:
        from_tables({"sources": {"studio": SOURCE | {"secrets": [PRIVATE], "budget": "x"}}})

    assert refused.value.__suppress_context__


@pytest.mark.parametrize("text", [pytest.param(repr, id="repr"), pytest.param(str, id="str")])
def test_does_not_show_its_secrets(text):
    config = from_tables({"sources": {"studio": SOURCE | {"secrets": [PRIVATE], "api_key": PRIVATE}}})

    assert PRIVATE not in text(config)


def test_does_not_write_its_secrets():
    config = from_tables({"sources": {"studio": SOURCE | {"secrets": [PRIVATE], "api_key": PRIVATE}}})

    assert PRIVATE not in config.model_dump_json()


@pytest.mark.parametrize("bind", ["8080", "localhost", "127.0.0.1:", "127.0.0.1:99999", "::1:8080", "a b:80"])
def test_refuses_what_is_no_address_and_port(bind):
    with pytest.raises(ConfigError, match=r'web\.bind: .*"127\.0\.0\.1:8080"'):
        from_tables({"web": {"bind": bind}})
