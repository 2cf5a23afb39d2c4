"""Move everything from one store to another, of whichever kinds they are.

Nothing is kept of how far a copy came but its rows: each run compares both sides and writes what differs. So one that
was killed goes on where it was, and one that is run again changes nothing, or brings what has changed meanwhile.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.errors import StoreUnavailable

Kept = dict[str, Any]
"""One row as it is kept: times are texts, truth is 0 or 1, bytes are bytes."""
Progress = Callable[[str, int, int], None]
"""Is told of a table how many rows were looked at, and how many there are."""

_ROWS_AT_ONCE = 200
_KEYS_AT_ONCE = 5000
# Those that others refer to come first. What is not here is of no use elsewhere: proofs, and which steps a schema took.
NAMES = (
    "jobs",
    "deliveries",
    "fingerprints",
    "events",
    "dispatches",
    "attempts",
    "quarantine",
    "requests",
    "limits",
    "intents",
    "handlers",
    "starts",
    "keys",
    "tokens",
    "sessions",
    "answers",
    "sources",
    "alerts",
    "turns",
    "queued",
    "seals",
)
_ORDERED_BY = {"fingerprints": "delivery_id"}


@dataclass(frozen=True)
class Table:
    """One table, as its database describes it."""

    name: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    key: str | None = None
    """The number that its rows are read in the order of; None for one that is small and read as a whole."""


@dataclass(kw_only=True)
class Copied:
    """What became of one table."""

    table: str
    source_count: int = 0
    target_count: int = 0
    written: int = 0
    removed: int = 0


@dataclass(kw_only=True)
class Changes:
    """What makes a part of a table the same as the source's."""

    put: list[Kept] = field(default_factory=list)
    removed_keys: Sequence[int] = ()
    whole: bool = False
    """Whether `put` is all that the table is to hold."""


class Tables(ABC):
    """The tables of one store that nobody else uses meanwhile."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """What tells this store from all others, and is the same for a backup of it."""

    @abstractmethod
    def tables(self) -> Mapping[str, Table]:
        """All that hold what is to be kept, by name."""

    @abstractmethod
    def count(self, table: Table) -> int:
        """How many rows it has."""

    @abstractmethod
    def rows(self, table: Table) -> list[Kept]:
        """All rows of a table without a key, in the order in which they came."""

    @abstractmethod
    def page(self, table: Table, *, after: int, limit: int) -> list[Kept]:
        """Rows whose key is higher, by their key."""

    @abstractmethod
    def between(self, table: Table, *, after: int, upto: int) -> list[Kept]:
        """The rows whose keys are higher than the one and not higher than the other."""

    @abstractmethod
    def keys(self, table: Table, *, after: int, limit: int) -> list[int]:
        """Keys that are higher, in order."""

    @abstractmethod
    def keys_between(self, table: Table, *, after: int, upto: int) -> set[int]:
        """The keys that are higher than the one and not higher than the other."""

    @abstractmethod
    def leased_until(self) -> str | None:
        """When the last lease ends of those that have not; None if there is none."""

    # Of a target

    @abstractmethod
    def copied_from(self) -> str | None:
        """The origin of what was copied into it so far; None if nothing was."""

    @abstractmethod
    def is_as_left(self, table: Table) -> bool:
        """Whether its highest key is the one that the last change left."""

    @abstractmethod
    def begin(self, origin: str) -> None:
        """Note where everything will come from. Until `finish`, nobody can open the store."""

    @abstractmethod
    def kept(self, row: Kept) -> Kept:
        """The row as this database can keep it."""

    @abstractmethod
    def change(self, table: Table, changes: Changes) -> None:
        """Make changes, and note the highest key they leave, in one commit."""

    @abstractmethod
    def finish(self) -> None:
        """Have the numbers of new rows begin after those that were copied, and let the store be opened."""

    @abstractmethod
    def close(self) -> None:
        """Let others use the store again."""


def copy(source: Tables, target: Tables, *, told: Progress) -> list[Copied]:
    """Make everything in the target the same as in the source.

    Raises:
        StoreUnavailable: one of them cannot be used, or must not be; the text says what to do. What was copied stays,
            and the next run goes on from there.
    """
    tables = [(source.tables()[name], target.tables()[name]) for name in NAMES]
    _refuse_work(source)
    _refuse_others(source, target, [theirs for _, theirs in tables])
    target.begin(source.origin)
    done = {ours.name: Copied(table=ours.name, source_count=source.count(ours)) for ours, _ in tables}
    # What refers to others goes before them, and comes after them.
    for ours, theirs in reversed(tables):
        if ours.key is not None:
            done[ours.name].removed = _remove_gone(source, target, ours, theirs)
    for ours, theirs in tables:
        result = done[ours.name]
        _put_changed(source, target, ours, theirs, result, told)
        result.target_count = target.count(theirs)
    target.finish()
    return list(done.values())


def _refuse_work(source: Tables) -> None:
    """A lease says that somebody may be at work on a dispatch, who would go on while the copy runs it again."""
    until = source.leased_until()
    if until is not None:
        raise StoreUnavailable(
            "dispatches are running in the source, or their worker died: stop every worker, "
            f"and try again after {until}"
        )


def _refuse_others(source: Tables, target: Tables, tables: Sequence[Table]) -> None:
    """Whatever is in the target and not in the source is removed, so it has to be of this copy."""
    known = target.copied_from()
    if known is None:
        held = [table.name for table in tables if target.count(table)]
        if held:
            raise StoreUnavailable(f"the target already holds {', '.join(held)}; copy into a new store")
    elif known != source.origin:
        raise StoreUnavailable("the target holds a copy of another store; copy into a new one")
    elif not all(target.is_as_left(table) for table in tables if table.key is not None):
        raise StoreUnavailable("the target has been used since it was copied into; copy into a new store")


def _remove_gone(source: Tables, target: Tables, ours: Table, theirs: Table) -> int:
    after, count = 0, 0
    while found := target.keys(theirs, after=after, limit=_KEYS_AT_ONCE):
        gone = sorted(set(found) - source.keys_between(ours, after=after, upto=found[-1]))
        if gone:
            target.change(theirs, Changes(removed_keys=gone))
        after, count = found[-1], count + len(gone)
    return count


def _put_changed(source: Tables, target: Tables, ours: Table, theirs: Table, result: Copied, told: Progress) -> None:
    if ours.key is None:
        rows = [target.kept(row) for row in source.rows(ours)]
        if _sorted(rows, ours) != _sorted(target.rows(theirs), ours):
            target.change(theirs, Changes(put=rows, whole=True))
            result.written = len(rows)
        told(ours.name, len(rows), len(rows))
        return
    after, seen = 0, 0
    while rows := source.page(ours, after=after, limit=_ROWS_AT_ONCE):
        upto = rows[-1][ours.key]
        there = {row[ours.key]: row for row in target.between(theirs, after=after, upto=upto)}
        put = [kept for row in rows if (kept := target.kept(row)) != there.get(row[ours.key])]
        if put:
            target.change(theirs, Changes(put=put))
        after, seen, result.written = upto, seen + len(rows), result.written + len(put)
        told(ours.name, seen, result.source_count)


def _sorted(rows: Sequence[Kept], table: Table) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[column] for column in table.columns) for row in rows), key=repr)


def key_of(name: str, columns: Mapping[str, str], primary_key: Sequence[str]) -> str | None:
    """The column to read a table by, given the types of its columns: its number, if it has one."""
    if name in _ORDERED_BY:
        return _ORDERED_BY[name]
    numbers = [column for column in primary_key if columns[column].lower() in ("integer", "bigint")]
    return numbers[0] if len(numbers) == 1 else None
