"""What was measured, against what, and whether that is good enough; as a table, and kept for the next run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Kept = Mapping[str, float]
"""The figure of each row of an earlier run, by the row's key."""

_COLUMNS = ("what", "settings", "figure", "noise", "compared with", "ratio", "target", "met", "before")
_SMALL = 10


@dataclass(frozen=True)
class Target:
    """What a row's ratio has to be, or its figure where it is compared with nothing."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f"≥ {self.at_least:.4g}" if self.at_least is not None else f"≤ {self.at_most:.4g}"

    def met(self, value: float) -> bool:
        """Whether the value is good enough."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    def judged(self, value: float) -> str:
        """Whether it is met, and if not, by how much."""
        if self.met(value):
            return "yes"
        bound = self.at_least if self.at_least is not None else self.at_most
        return f"**no**, {value / bound - 1:+.0%}" if bound else "**no**"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: the figures of several runs, and what each is compared with, run by run."""

    key: str
    """Names it for ever, so that runs can be compared."""
    what: str
    settings: str = ""
    figures: Sequence[float] = ()
    unit: str = ""
    against: str = ""
    ratios: Sequence[float] = ()
    target: Target | None = None
    absent: str = ""
    """Why there is no figure."""

    @property
    def value(self) -> float:
        """What is judged, and compared with earlier runs: the ratio if there is one, else the figure."""
        return median(self.ratios or self.figures)


def compared(figures: Sequence[float], with_what: Sequence[float]) -> list[float]:
    """The ratio of each run's two figures, which were taken right after one another."""
    return [figure / other for figure, other in zip(figures, with_what, strict=True)]


def table(rows: Iterable[Row], before: Kept) -> str:
    """The rows in Markdown."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    lines += [_line(_cells(row, before.get(row.key))) for row in rows]
    return "\n".join(lines)


def kept(file: Path) -> Kept:
    """What an earlier run has kept; nothing if there was none."""
    return json.loads(file.read_text()) if file.exists() else {}


def keep(file: Path, rows: Iterable[Row], before: Kept) -> None:
    """Keep the rows' figures for the next run, beside those of rows that this one did not measure."""
    file.write_text(json.dumps({**before, **{row.key: row.value for row in rows if not row.absent}}, indent=1) + "\n")


def _cells(row: Row, before: float | None) -> list[str]:
    if row.absent:
        return [row.what, f"absent: {row.absent}", *[""] * (len(_COLUMNS) - 2)]
    return [
        row.what,
        row.settings,
        f"{_number(median(row.figures))} {row.unit}".strip(),
        _noise(row.ratios or row.figures),
        row.against,
        f"{median(row.ratios):.2f}" if row.ratios else "",
        str(row.target) if row.target else "",
        row.target.judged(row.value) if row.target else "",
        f"{row.value / before - 1:+.0%}" if before else "",
    ]


def _noise(values: Sequence[float]) -> str:
    """How far the runs lie from their median, at most; of what the row is judged by."""
    middle = median(values)
    if len(values) < 2 or not middle:
        return ""
    return f"±{max(abs(value - middle) for value in values) / abs(middle):.0%}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _SMALL or value == int(value) else f"{value:.2f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
