"""Makes the table of `make proof` out of what its drills have recorded, and prints it.

A drill tells its row by pytest's `record_property`: "drill" and "store" name it, every other property is a figure.
Several tests may add figures to the same row, each with names of its own. A test that fails before it has named a drill
has a row by its own name.
"""

import os
import platform
import sqlite3
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from receiver import __version__

_HEADINGS = ("drill", "store", "figures", "took", "result")
_GIB = 2**30


@dataclass
class Row:
    """One drill on one store."""

    figures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    passed: bool = True


Rows = dict[tuple[str, str], Row]
"""By the names of drill and store."""


def read(file: Path) -> Rows:
    """What a file of pytest's JUnit form tells. Tests that name no drill are left out, unless they failed.

    Raises:
        ValueError: a figure comes twice in one row, with different values.
    """
    rows: Rows = {}
    # The file is pytest's, which has just written it.
    for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314
        properties = [(item.get("name", ""), item.get("value", "")) for item in case.iter("property")]
        named = dict(properties)
        passed = all(case.find(trouble) is None for trouble in ("failure", "error", "skipped"))
        if "drill" not in named and passed:
            continue
        drill = named.get("drill") or f"{case.get('classname', '')}.{case.get('name', '')}"
        row = rows.setdefault((drill, named.get("store", "")), Row())
        for name, value in properties:
            if name not in ("drill", "store") and row.figures.setdefault(name, value) != value:
                raise ValueError(f"{drill}: {name} is both {row.figures[name]} and {value}")
        row.seconds += float(case.get("time", "0"))
        row.passed &= passed
    return rows


def written(rows: Rows) -> str:
    """The table, in Markdown, and on what machine."""
    lines = [
        _HEADINGS,
        ["---"] * len(_HEADINGS),
        *(
            (drill, store, "; ".join(_figure(*item) for item in row.figures.items()),
             # What several drills go through together is told in the row of the first.
             f"{row.seconds:.0f} s" if row.seconds >= 1 else "",
             "holds" if row.passed else "**fails**")
            for (drill, store), row in rows.items()
        ),
    ]  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{_machine()}\n"


def _figure(name: str, value: str) -> str:
    return f"{int(value):,} {name}" if value.isdecimal() else f"{name} {value}"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    kernel = platform.release().partition("-")[0]
    return (
        f"Receiver {__version__}, {date.today():%Y-%m-%d}; {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {kernel}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


if __name__ == "__main__":
    found = read(Path(sys.argv[1]))
    sys.stdout.write(written(found))
    sys.exit(not found or not all(row.passed for row in found.values()))
