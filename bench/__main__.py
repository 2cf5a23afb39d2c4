"""`python -m bench`: measure everything, print the table, write it to build/bench.md."""

import argparse
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import dispatching, ingest, million, profile, reconciling, tools, watching
from bench.plan import QUICK, Plan
from bench.table import Kept, Row, keep, kept, table
from bench.tools import BUILD, FOLDER, BenchError


# These need what the tests need, which nobody else has to have.
def _cluster(plan: Plan) -> list[Row]:
    from bench import cluster

    return cluster.measure(plan)


def _cluster_many(plan: Plan) -> list[Row]:
    from bench import cluster

    return cluster.measure_many(plan)


_GROUPS: dict[str, Callable[[Plan], list[Row]]] = {
    "ingest": ingest.measure,
    "dispatching": dispatching.measure,
    "million": million.measure,
    "reconciling": reconciling.measure,
    "watching": watching.measure,
    "cluster": _cluster,
    "cluster-many": _cluster_many,
}
_BY_NAME_ONLY = {"cluster", "cluster-many"}
_BASELINE = FOLDER / "baseline.json"
_LAST = BUILD / "last.json"
_REPORT = BUILD.parent / "bench.md"


def main() -> int:
    """Exit status 0 if everything could be measured, however it came out."""
    options = _options()
    BUILD.mkdir(parents=True, exist_ok=True)
    plan = QUICK if options.quick else Plan()
    try:
        tools.wrk()
        if options.profile:
            print(profile.report(plan))
            return 0
        rows, failures, facts = _measure(
            options.groups or [name for name in _GROUPS if name not in _BY_NAME_ONLY], plan
        )
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    file = _BASELINE if _BASELINE.exists() else _LAST
    report = _report(rows, failures, facts, kept(file), file)
    print(report)
    if not options.quick:
        _REPORT.write_text(report)
        keep(_LAST, rows, kept(_LAST))
        if options.keep:
            keep(_BASELINE, rows, kept(_BASELINE))
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write build/bench.md.")
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"only these: {', '.join(_GROUPS)}; those of the cluster only by name",
    )
    parser.add_argument("--quick", action="store_true", help="show in two minutes that everything runs")
    parser.add_argument("--keep", action="store_true", help="compare later runs with this one: bench/baseline.json")
    parser.add_argument("--profile", action="store_true", help="say instead where the time goes")
    options = parser.parse_args()
    if unknown := set(options.groups) - _GROUPS.keys():
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are: {', '.join(_GROUPS)}")
    return options


def _measure(groups: Sequence[str], plan: Plan) -> tuple[list[Row], list[str], list[str]]:
    """The rows, what could not be measured, and how the machine was meanwhile."""
    began, load = time.monotonic(), os.getloadavg()
    rows, failures, times = list[Row](), list[str](), list[str]()
    for name in groups:
        since = time.monotonic()
        print(f"measuring: {name} …", file=sys.stderr, flush=True)
        try:
            rows += _GROUPS[name](plan)
        # Whatever goes wrong in one group, the others are still worth having.
        except Exception as error:
            failures.append(f"{name}: {error}" if isinstance(error, BenchError) else f"{name}: {error!r}")
        times.append(f"{name} {time.monotonic() - since:.0f} s")
    facts = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; took {time.monotonic() - began:.0f} s ({', '.join(times)}).",
        f"{os.cpu_count()} cores, {_memory()} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}.",
        f"Others' load: {load[0]:.2f} before it began"
        + (" — **that is not quiet; the figures are rough.**" if load[0] > 0.5 else "."),
    ]
    return rows, failures, facts


def _report(rows: Sequence[Row], failures: Sequence[str], facts: Sequence[str], before: Kept, file: Path) -> str:
    judged = [row for row in rows if row.target and not row.absent]
    met = sum(bool(row.target and row.target.met(row.value)) for row in judged)
    missing = [f"- **not measured** {failure}" for failure in failures]
    return "\n".join(
        [
            "# Bench",
            "",
            *(f"- {fact}" for fact in facts),
            f"- {met} of {len(judged)} targets are met.",
            "- `before` is how the judged value of each row changed since it was last put into "
            f"`{file.relative_to(FOLDER.parent)}`.",
            *missing,
            "",
            table(rows, before),
            "",
        ]
    )


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    sys.exit(main())
