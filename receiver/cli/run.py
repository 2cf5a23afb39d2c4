"""Commands that run: serve, web, work, reconcile, demo."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import asdict
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import click

from receiver import alerts, logs, metrics, plugins, tracing
from receiver import demo as demonstration
from receiver.cli.common import (
    Duration,
    config_file,
    config_option,
    configured_sources,
    json_option,
    loaded_config,
    opened_store,
    print_rows,
)
from receiver.cli.stopping import on_stop
from receiver.config import Config, pointing_to
from receiver.discover import Discovery, discover
from receiver.engine import open_engine
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.outbound import ProviderClient
from receiver.reconcile import Checked, Finding, Pass, Reconciler
from receiver.reloader import Reloader
from receiver.retention import prune_now_and_then
from receiver.store import Store
from receiver.supervisor import Supervisor

ADMIN = ("gunicorn-admin.conf.py", "receiver.admin:create_app()")
"""What `gunicorn_command` takes for the admin side."""

_GRACE_BEYOND_DRAIN = 10.0

_log = logging.getLogger(__name__)


@click.command()
@config_option
def serve() -> None:
    """Run everything in one command: web, worker, reconcile loop and admin side.

    Ctrl-C or SIGTERM stops it cleanly: requests in flight are answered, running handlers may finish.
    """
    config = _prepared()
    every = f"{config.reconcile.every.total_seconds():g}s"
    admin_too = {"admin": _this("admin")} if config.admin.enabled else {}
    for source in plugins.sources(config).values():
        if source.provider.sends_webhooks:
            click.echo(f"webhooks of {source.name}: http://{config.web.bind}/webhooks/{source.name}", err=True)
    if not config.sources:
        click.echo("no sources are configured, so every webhook will be refused; see `receiver check`", err=True)
    with metrics.shared(config.metrics_directory) as directory:
        supervisor = Supervisor(
            {
                "web": _this("web"),
                "worker": _this("work"),
                "reconcile": _this("reconcile", "--every", every),
                **admin_too,
            },
            environment={**_environment(), "RECEIVER_METRICS__DIRECTORY": str(directory.resolve())},
            grace=config.worker.drain.total_seconds() + _GRACE_BEYOND_DRAIN,
            vital=["web"],
            background=["worker", "reconcile"],
        )
        on_stop(supervisor.stop)
        supervisor.run()


@click.command()
@config_option
def web() -> None:
    """Run the endpoint that providers post to, on gunicorn.

    It needs no handler, so a broken one does not keep it from starting.
    """
    _with_a_store(_configured())
    command = gunicorn_command()
    os.execve(command[0], command, _environment())  # noqa: S606 - no shell is wanted


@click.command()
@config_option
def admin() -> None:
    """Run the page and the API for people, on gunicorn, at the address `admin.bind`."""
    _announce_admin(_prepared())
    command = gunicorn_command(*ADMIN)
    os.execve(command[0], command, _environment())  # noqa: S606 - no shell is wanted


@click.command()
@config_option
@click.option("--reload", is_flag=True, help="Start anew whenever a handler's file or the configuration changes.")
def work(reload: bool) -> None:
    """Run handlers for new events, until stopped; or feed the Celery cluster that does, with `engine = "celery"`.

    Relative paths in handlers and their settings start at the folder of the configuration file.
    """
    config = loaded_config()
    logs.configure(config.log_format)
    if reload:
        _work_anew(config)
        return
    metrics.observe(config.metrics_directory)
    tracing.configure()
    with chdir(config.directory), opened_store(config) as store:
        store.require_keys()
        engine = open_engine(config, store, plugins.handlers(config), plugins.sources(config))
        if config.engine == "celery":
            click.echo("handlers run on Celery: celery -A receiver.engine.celery worker", err=True)
        on_stop(engine.stop)
        if not engine.run():
            # `serve` or the service manager starts another.
            raise SystemExit(1)


@click.command()
@config_option
@click.option("--source", "names", multiple=True, metavar="SOURCE", help="Only this source; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Print what is due, ask nobody.")
@click.option("--discover", "discovering", is_flag=True, help="First look for jobs that nobody tracked.")
@click.option(
    "--since", type=Duration(), default="24h", show_default=True, help="With --discover: not older than this."
)
@click.option("--every", type=Duration(), metavar="DURATION", help="Go on, with a pass every so often, such as 10s.")
@json_option
def reconcile(
    names: tuple[str, ...],
    dry_run: bool,
    discovering: bool,
    since: timedelta,
    every: timedelta | None,
    as_json: bool,
) -> None:
    """Ask the providers about open jobs whose time has come.

    One pass by default, fit for cron: exit status 0 if every job that was asked about got an answer, else 1.
    """
    if discovering and (dry_run or every is not None):
        raise click.UsageError("--discover goes with one pass: neither with --dry-run nor with --every")
    config = loaded_config()
    logs.configure(config.log_format)
    metrics.observe(config.metrics_directory)
    tracing.configure()
    sources = configured_sources(config, names or tuple(config.sources))
    with opened_store(config) as store, ProviderClient() as client:
        stopped = threading.Event()
        reconciler = Reconciler(store, client, stopped=stopped)
        if dry_run:
            _print_due(reconciler, sources, as_json=as_json)
            return
        store.require_keys()
        if every is None:
            discoveries = _discover(sources, names, since, store, client) if discovering else []
            passes = reconciler.run(sources)
            if discovering:
                _print_discoveries(discoveries, as_json=as_json)
            _print_passes(passes, as_json=as_json, nothing="no sources are configured")
            complete = all(found.error is None for found in discoveries)
            sys.exit(0 if complete and all(done.ok for done in passes) else 1)
        else:
            _reconcile_until_stopped(reconciler, store, sources, every, stopped, config, as_json=as_json)


@click.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep what the demonstration writes here.  [default: a temporary folder, removed at the end]",
)
def demo(directory: Path | None) -> None:
    """Show the main job in half a minute, against stand-ins for four providers on this machine."""
    sys.exit(0 if demonstration.run(directory) else 1)


COMMANDS = (serve, web, admin, work, reconcile, demo)


def gunicorn_command(settings: str = "gunicorn.conf.py", app: str = "receiver.web:create_app()") -> list[str]:
    """The command that serves an app, by default the endpoint, with one of the files in `deploy/`."""
    return [sys.executable, "-m", "gunicorn", "--config", str(files("receiver_deploy") / settings), app]


def _prepared() -> Config:
    """The configuration, with everything that could be wrong found before a process is started."""
    config = _configured()
    plugins.handlers(config)
    with pointing_to(config):
        alerts.check(config.alerts)
    return _with_a_store(config)


def _configured() -> Config:
    """The configuration, with sources that can be opened."""
    config = loaded_config()
    logs.configure(config.log_format)
    plugins.sources(config)
    return config


def _with_a_store(config: Config) -> Config:
    """The same, with a store that can be opened."""
    with opened_store(config):
        return config


def _announce_admin(config: Config) -> None:
    with opened_store(config) as store:
        how = "" if store.tokens() else "; make a token for it: receiver tokens add NAME --role operator"
    click.echo(f"admin: {config.admin.public_url or f'http://{config.admin.bind}'}{how}", err=True)


def _work_anew(config: Config) -> None:
    reloader = Reloader(
        _this("work"),
        lambda: [config.file, *plugins.handler_files(config)],
        environment=_environment(),
        drain=config.worker.drain.total_seconds(),
        changed=lambda file: click.echo(f"{file} has changed; starting anew", err=True),
    )
    on_stop(reloader.stop)
    reloader.run()


def _this(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "receiver", *arguments]


def _environment() -> dict[str, str]:
    file = config_file()
    return {**os.environ, **({"RECEIVER_CONFIG": str(Path(file).resolve())} if file else {})}


def _reconcile_until_stopped(
    reconciler: Reconciler,
    store: Store,
    sources: Sequence[Source],
    every: timedelta,
    stopped: threading.Event,
    config: Config,
    *,
    as_json: bool,
) -> None:
    """Pass after pass, each source at its own pace: one whose provider is slow holds up no other."""
    on_stop(stopped.set)
    alarmed = (store, plugins.sources(config), config.handlers, config.alerts, stopped)
    threads = [
        threading.Thread(target=prune_now_and_then, args=(store, config.retention, stopped), name="prune"),
        threading.Thread(target=alerts.watch, args=alarmed, name="alerts"),
    ]
    threads += [
        threading.Thread(
            target=_pass_after_pass, args=(reconciler, store, source, every, stopped, as_json), name=source.name
        )
        for source in sources
    ]
    for thread in threads:
        thread.start()
    stopped.wait()
    for thread in threads:
        thread.join()


def _pass_after_pass(
    reconciler: Reconciler, store: Store, source: Source, every: timedelta, stopped: threading.Event, as_json: bool
) -> None:
    """One of all loops that share the store makes a pass. Only those that found something out are worth a word."""
    while not stopped.is_set():
        try:
            if store.claim_turn(f"reconcile:{source.name}", every=every):
                done = reconciler.pass_over(source)
                _print_passes([] if done.quiet else [done], as_json=as_json, nothing=None)
        except StoreUnavailable as error:
            click.echo(f"reconcile {source.name}: {error}; trying again", err=True)
        except Exception:
            # Whatever it was, the next pass may do better; nobody else would ask about these jobs.
            _log.exception("a pass failed", extra={"source": source.name})
        stopped.wait(every.total_seconds())


def _discover(
    sources: Sequence[Source], names: Sequence[str], since: timedelta, store: Store, client: ProviderClient
) -> list[Discovery]:
    """A look through the lists of the sources that have one, and of those that were named."""
    able = [source for source in sources if source.provider.lists_jobs or source.name in names]
    return [discover(source, since=since, store=store, client=client) for source in able]


def _print_discoveries(discoveries: Sequence[Discovery], *, as_json: bool) -> None:
    rows = [asdict(found) for found in discoveries]
    print_rows(
        rows, as_json=as_json, columns=["source", "listed", "tracked"], nothing="no source can be asked for its jobs"
    )
    for found in discoveries:
        if found.error and not as_json:
            click.echo(f"{found.source}: {found.error}", err=True)


def _print_due(reconciler: Reconciler, sources: Sequence[Source], *, as_json: bool) -> None:
    rows = [
        {
            "source": job.source,
            "job": job.job_id,
            "kind": job.kind,
            "status": str(job.status),
            "polls": job.poll_count,
            "next_poll_at": job.next_poll_at,
            "deadline_at": job.deadline_at,
        }
        for source in sources
        for job in reconciler.due(source)
    ]
    print_rows(
        rows,
        as_json=as_json,
        columns=["source", "job", "kind", "status", "polls", "deadline_at"],
        nothing="nothing is due",
    )


def _print_passes(passes: Sequence[Pass], *, as_json: bool, nothing: str | None) -> None:
    rows = [
        {
            "source": done.source,
            "checked": len(done.checked),
            **{str(finding): done.count(finding) for finding in Finding},
            "waiting": done.waiting,
            "error": done.error,
            "jobs": [_described(item) for item in done.checked if item.finding is not Finding.OPEN or item.error],
        }
        for done in passes
    ]
    columns = ["source", "checked", *map(str, Finding), "waiting"]
    print_rows(rows, as_json=as_json, columns=columns, nothing=nothing)
    if as_json:
        return
    for done in passes:
        for checked in done.checked:
            if checked.finding is not Finding.OPEN or checked.error:
                job, error = checked.job, f": {checked.error}" if checked.error else ""
                click.echo(f"{done.source} {job.job_id} ({job.kind}) {checked.finding}{error}")
        if done.error:
            click.echo(f"{done.source}: {done.error}", err=True)
        if done.waiting:
            click.echo(f"{done.source}: {done.waiting} more are due, but the request budget is spent", err=True)


def _described(checked: Checked) -> dict[str, str | None]:
    return {"job": checked.job.job_id, "finding": str(checked.finding), "error": checked.error}
