"""What is special about a table in a database that SQLAlchemy speaks to."""

import socket
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from pydantic import ValidationError
from receiver_handlers.table import Settings

from receiver import PermanentError
from receiver.cli import main
from receiver.running import free_port
from tests.handlers.tables import AT, DONE, FAILED, MariaDB, PostgreSQL, tell
from tests.watch import eventually

PASSWORD = "p@ss/of mine"
ENCODED = "p%40ss%2Fof%20mine"

NOTE = "whisper"
WAITING = (
    "SELECT query FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def on_postgres(empty_postgres):
    return PostgreSQL(empty_postgres)


@pytest.fixture(params=["postgresql", "mariadb"])
def place(request):
    if request.param == "postgresql":
        return PostgreSQL(request.getfixturevalue("empty_postgres"))
    return MariaDB(request.getfixturevalue("mariadb"))


@pytest.fixture
def silent():
    """The port of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def urls(port):
    return [f"{kind}://user:{ENCODED}@127.0.0.1:{port}/media" for kind in ("postgresql+psycopg", "mysql+pymysql")]


# What is there


def test_times_and_ids_have_types(on_postgres):
    tell(on_postgres.to)

    [row] = on_postgres.read()
    assert (row["occurred_at"], row["event_id"], row["metadata_order"]) == (AT, 7, "17")


def test_a_table_has_the_name_it_is_given(place):
    tell(place.to, name="Results")
    tell(place.to, FAILED, name="Results")

    assert [row["status"] for row in place.rows('"Results"' if "postgresql" in place.to else "Results")] == ["failed"]


def test_huge_texts_stay_whole(place):
    tell(place.to, metadata={"text": "x" * 2_000_000})

    assert len(place.row()["metadata_text"]) == 2_000_000


@pytest.mark.parametrize("key", [pytest.param("🎬", id="emoji"), pytest.param("`", id="quote")])
def test_a_letter_that_not_every_database_takes_is_none_of_a_column(place, key):
    for number in (7, 8):
        tell(place.to, replace(DONE, id=number), metadata={key: "value"})

    assert place.row()["metadata__"] == "value"


def test_a_name_is_cut_between_letters(place):
    for number in (7, 8):
        tell(place.to, replace(DONE, id=number), metadata={"夜" * 60: "value"})

    assert place.row()["metadata_" + "夜" * 18] == "value"


def test_a_row_without_an_id_is_put_right(place):
    tell(place.to, FAILED)
    place.run("UPDATE jobs SET event_id = NULL")
    tell(place.to)

    assert (place.row()["status"], place.row()["event_id"]) == ("succeeded", "7")


def test_a_column_that_others_have_made_keeps_its_type(place):
    tell(place.to, metadata={})
    place.run("ALTER TABLE jobs ADD metadata_order BIGINT, ADD data_credits DOUBLE PRECISION")
    tell(place.to, replace(DONE, id=8), data_columns=["credits"])

    [row] = place.read()
    assert (row["metadata_order"], row["data_credits"]) == (17, 30.0)


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("CREATE TABLE jobs (id INTEGER PRIMARY KEY, source INTEGER, job INTEGER)", id="table"),
        pytest.param("CREATE TABLE jobs (source INTEGER, job INTEGER, event_id INTEGER)", id="without-the-key"),
        pytest.param("CREATE VIEW jobs AS SELECT 1 AS source, 1 AS job, 1 AS event_id", id="view"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(place, sql):
    place.run(sql)

    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] name: there is a table jobs of somebody else's"):
        tell(place.to)


def test_it_is_in_the_schema_that_connections_look_in(on_postgres):
    on_postgres.run("CREATE SCHEMA reports")
    tell(f"{on_postgres.to}&options=-csearch_path%3Dreports")

    assert len(on_postgres.rows("reports.jobs")) == 1


@pytest.mark.parametrize("name", ["jobs", "events"])
def test_the_tables_of_receiver_itself_are_left_alone(postgres_url, name):
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] name: there is a table .* of somebody else's"):
        tell(PostgreSQL(postgres_url).to, name=name)


def test_may_be_beside_the_tables_of_receiver_itself(postgres_url):
    tell(PostgreSQL(postgres_url).to, name="results")

    assert len(PostgreSQL(postgres_url).rows("results")) == 1


# Many at once


def test_the_newest_of_many_takes_the_row(place):
    events = [replace(DONE, id=number, type=f"t{number}") for number in range(1, 41)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: tell(place.to, event), [*events[::2], *events[1::2][::-1]]))

    assert place.row()["type"] == "t40"


def test_workers_may_begin_at_once(place):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tell(place.to, metadata={f"key{number % 4}": "x"}), range(8)))

    assert {f"metadata_key{number}" for number in range(4)} <= set(place.row())


# When it goes wrong


def test_a_locked_table_is_tried_again(on_postgres):
    tell(on_postgres.to)
    with closing(on_postgres.connect()) as other:
        other.execute("LOCK TABLE jobs")

        with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: canceling statement due to lock timeout$"):
            tell(on_postgres.to, FAILED, lock_timeout="10ms")
    tell(on_postgres.to, FAILED)
    assert on_postgres.row()["status"] == "failed"


def test_a_locked_row_is_tried_again(place):
    tell(place.to)
    with closing(place.connect()) as other:
        other.cursor().execute("UPDATE jobs SET status = 'x'")

        with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*(lock timeout|Lock wait timeout)"):
            tell(place.to, FAILED, lock_timeout="1s")


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mysql+pymysql"])
def test_a_server_that_says_nothing_is_not_waited_for(silent, kind):
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: the database took longer than 0\.05 s$"):
        tell(f"{kind}://user@127.0.0.1:{silent}/media", database_timeout="50ms")


def test_a_statement_that_takes_too_long_is_ended_there(on_postgres):
    tell(on_postgres.to)
    on_postgres.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'",
        "CREATE TRIGGER slow BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    with pytest.raises(RuntimeError, match=r"took longer than 0\.3 s|statement timeout"):
        tell(on_postgres.to, FAILED, database_timeout="300ms")

    # Of pg_stat_activity, a transaction sees only what was there when it first looked.
    assert eventually(lambda: on_postgres.select(f"({WAITING}) AS waiting") == [])


@pytest.mark.parametrize("kind", [0, 1])
def test_a_server_that_is_away_is_tried_again_and_no_password_shown(kind):
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*refused") as failed:
        tell(urls(free_port())[kind])

    assert "mine" not in shown(failed)


def test_a_password_that_is_wrong_is_not_shown(mariadb):
    url = MariaDB(mariadb).to.replace("root@", f"somebody:{ENCODED}@")
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*Access denied for user 'somebody'") as failed:
        tell(url)

    assert "mine" not in shown(failed)


def test_a_password_that_a_driver_quotes_is_not_shown(on_postgres):
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*\(masked\)") as failed:
        tell(f"{on_postgres.to}&sslmode={ENCODED}")

    assert "mine" not in shown(failed)


def test_what_is_in_a_row_is_not_shown(place):
    tell(place.to)
    place.run("ALTER TABLE jobs ADD CONSTRAINT picky CHECK (status <> 'failed')")
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*picky") as failed:
        tell(place.to, replace(FAILED, outputs=DONE.outputs), metadata={"note": NOTE})

    assert not [word for word in (NOTE, "signature") if word in shown(failed)]


def test_a_row_that_others_do_not_let_in_is_no_success(place):
    tell(place.to)
    place.run("CREATE UNIQUE INDEX picky ON jobs (event_id)")

    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*picky"):
        tell(place.to, replace(DONE, job_id="vgen_2"))


def test_a_table_that_may_not_be_made_is_told(on_postgres):
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: cannot execute CREATE TABLE in a read-only"):
        tell(f"{on_postgres.to}&options=-cdefault_transaction_read_only%3Don")


def shown(failed):
    """Everything that a log would say of an error."""
    return "".join(traceback.format_exception(failed.value))


# Settings


@pytest.mark.parametrize(
    ("to", "told"),
    [
        pytest.param(f"postgres://u:{ENCODED}@host/media", "SQLAlchemy knows no postgres://; write a URL", id="old"),
        pytest.param("https://x.example/a.csv", "SQLAlchemy knows no https://; write a URL", id="web"),
        pytest.param(f"postgresql+psycopg://u:{PASSWORD}@host/media", "percent-encode what is special", id="encoding"),
        pytest.param("postgresql+psycopg://u:mine@host:port/media", "percent-encode what is special", id="port"),
        pytest.param("postgresql+psycopg2://u:mine@host/media", "install the driver of the database", id="driver"),
        pytest.param("postgresql+psycopg_async://u:mine@host/media", "psycopg is asynchronous", id="asynchronous"),
        pytest.param("sqlite://media.db", "for SQLite write sqlite:///FILE", id="sqlite"),
        pytest.param("sqlite+pysqlite:///media.db", "for SQLite write sqlite:///FILE", id="sqlite-driver"),
        pytest.param("://", "percent-encode what is special", id="nothing"),
    ],
)
def test_names_what_is_wrong_with_a_url(to, told):
    with pytest.raises(ValidationError, match=told) as refused:
        Settings(to=to)

    assert "mine" not in str(refused.value)


@pytest.mark.parametrize("show", [str, repr, Settings.model_dump_json])
def test_settings_show_no_url(show):
    shown = show(Settings(to=urls(5432)[0]))

    assert "postgresql+psycopg://(masked)" in shown
    assert not [part for part in ("user", "mine", "127.0.0.1") if part in shown]


def test_check_shows_no_url(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "receiver.toml").write_text(f'[handlers.table]\nto = "{urls(5432)[0]}"\n')
    with pytest.raises(SystemExit) as ended:
        main(["check", "--offline"])

    told = capsys.readouterr()
    assert (ended.value.code, "mine" in told.out + told.err) == (0, False)
    assert 'handlers.table.to = "postgresql+psycopg://(masked)"' in told.out


def test_needs_its_extra():
    program = "import sys; sys.modules['sqlalchemy'] = None; from receiver_handlers.table import Settings; "
    told = subprocess.run(
        [sys.executable, "-c", f"{program} Settings(to='postgresql+psycopg://host/media')"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 'needs the extra: pip install "ai-media-receiver[database]"' in told.stderr
