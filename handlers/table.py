"""Keep a table with one row for each job: in SQLite, a CSV or Parquet file, or another database.

A row says what the newest event said. Columns that somebody else has added are left as they are.
"""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import ConfigDict, Secret, field_validator

from receiver import Context, Event, Failure, HandlerSettings, Job, PermanentError, Router
from receiver.masking import MASK
from receiver.outbound.tables import SQLITE, Cell, open_table
from receiver.units import Duration

_LONGEST_NAME = 100
# PostgreSQL's.
_LONGEST_TABLE = 63
_INTEGERS = range(-(2**63), 2**63)


class Place(Secret[str]):
    """A file, or a URL of a database, of which only the kind is shown: it may hold a password anywhere."""

    def _display(self) -> str:
        to = self.get_secret_value()
        scheme, is_url, _ = to.partition("://")
        return f"{scheme}://{MASK}" if is_url and not to.startswith(SQLITE) else to


class Settings(HandlerSettings):
    """`[handlers.table]`: where the table is, and what is in it besides the usual."""

    model_config = ConfigDict(hide_input_in_errors=True)

    to: Place
    """`sqlite:///FILE.db`, `FILE.csv` or `FILE.parquet`, relative to the configuration file; or the URL of a database
    as SQLAlchemy writes it, such as `postgresql+psycopg://user:password@host/database`. Write `%40` for an @ in a
    password."""
    name: str = "jobs"
    """The name of the table in a database."""
    data_columns: tuple[str, ...] = ()
    """Keys of the provider's own object whose values get a column each, `data_KEY`."""
    lock_timeout: Duration = timedelta(seconds=10)
    """How long to wait for others who write to it, before the attempt is given up and tried again later."""
    database_timeout: Duration = timedelta(seconds=30)
    """With a URL: how long connecting and writing may take together. Less than `timeout`, which ends the attempt."""

    @field_validator("to")
    @classmethod
    def _can_be_a_place(cls, to: Place) -> Place:
        open_table(to.get_secret_value())
        return to

    @field_validator("name")
    @classmethod
    def _can_be_a_table(cls, name: str) -> str:
        if not name.isidentifier() or len(name.encode()) > _LONGEST_TABLE or name.lower().startswith("sqlite_"):
            raise ValueError("write a short name of letters, digits and _, that does not begin with a digit or sqlite_")
        return name


router = Router(settings=Settings)


@router.on()
def table(event: Event, context: Context) -> None:
    """Bring the row of the event's job up to date, unless a newer event has."""
    # Late or contradicting news come here only when somebody replays them.
    if event.job_id is None or not event.standing.dispatched:
        return
    settings: Settings = context.settings
    place = open_table(
        settings.to.get_secret_value(),
        name=settings.name,
        lock_timeout=settings.lock_timeout,
        database_timeout=settings.database_timeout,
    )
    try:
        place.update(_row(event, context.job, settings.data_columns))
    except OSError as error:
        raise RuntimeError(f"{context.table} to: {error}") from error
    except PermanentError as error:
        raise PermanentError(f"{context.table} {error}") from None


def _row(event: Event, job: Job | None, data_columns: Iterable[str]) -> dict[str, Cell]:
    urls = [output.url for output in event.outputs]
    values: dict[str, object] = {
        "source": event.source,
        "job": event.job_id,
        "kind": event.kind or (job.kind if job else None),
        "status": event.status,
        "type": event.type,
        "output": urls[0] if urls else None,
        "outputs": urls or None,
        "error": _error(event.failure),
        "created_at": job.created_at if job else None,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "event_id": event.id or 0,
    }
    values |= {f"data_{key}": event.data.get(key) for key in data_columns}
    values |= {f"metadata_{key}": value for key, value in (job.metadata if job else {}).items()}
    if event.status is None:
        # A notice about the job does not undo what an earlier event told of its end.
        values = {name: value for name, value in values.items() if value is not None}
    # Databases take columns that differ only in case for one.
    columns = {_column(name).lower(): (_column(name), _cell(value)) for name, value in values.items()}
    return dict(columns.values())


def _error(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return f"{failure.code}: {failure.message}" if failure.code else failure.message


def _column(name: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in name)[:_LONGEST_NAME]


def _cell(value: object) -> Cell:
    """A value as a table can hold it: what has parts as JSON."""
    match value:
        case str():
            text = value
        case int() if value not in _INTEGERS:
            text = str(value)
        case None | int() | float() | datetime():
            return value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    # JSON has half characters and zero bytes; files and databases do not.
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
