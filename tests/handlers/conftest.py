"""Databases for the tests of `table`: one for each test, on real servers."""

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pymysql
import pytest

from receiver.running import free_port
from tests.watch import eventually

_NUMBERS = count(1)
_SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")


@pytest.fixture
def empty_postgres(postgres):
    """The URL of an empty database of PostgreSQL's."""
    with postgres.empty() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory):
    """The port of a MariaDB whose user `root` needs no password."""
    program = _program()
    folder = tmp_path_factory.mktemp("mariadb")
    base = program.parents[1]
    # What mariadb-install-db does, without the programs of other packages.
    scripts = [(base / "share" / "mysql" / name).read_text() for name in _SYSTEM_TABLES]
    first = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *scripts])
    options = [
        "--no-defaults",
        f"--basedir={base}",
        f"--datadir={folder}",
        *(["--user=root"] if not os.getuid() else []),
    ]
    subprocess.run([program, *options, "--bootstrap"], input=first, text=True, check=True, capture_output=True)
    port = free_port()
    command = [program, *options, "--bind-address=127.0.0.1", f"--port={port}", "--socket=s"]

    def connect():
        return pymysql.connect(host="127.0.0.1", port=port, user="root")

    with _running([*command, "--innodb-flush-log-at-trx-commit=0"], folder, connect):
        yield port


@pytest.fixture
def mariadb(mariadb_server):
    """An empty database of MariaDB's, set up for few letters only: what pymysql connects with."""
    where = {"host": "127.0.0.1", "port": mariadb_server, "user": "root"}
    name = f"test{next(_NUMBERS)}"
    with pymysql.connect(**where) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET latin1")
    return {**where, "database": name}


def _program():
    # Debian has it where only root looks.
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        missing = "no mariadbd: apt-get install mariadb-server-core"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return Path(found).resolve()


@contextmanager
def _running(command, folder, connect):
    def answers():
        with suppress(pymysql.Error):
            connect().close()
            return True
        return process.poll() is not None

    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(answers, within=60)
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
