"""Goes on where `test_fuzz` stops: libFuzzer makes inputs for the same functions, led by what they reach.

`make fuzz` runs each function in a process of its own, for as long as SECONDS_EACH says. One that finds something ends
with a traceback, and leaves the input below `build/fuzz`.
"""

import os
import subprocess
import sys
from pathlib import Path

FOUND = Path("build/fuzz")


def main(seconds: int) -> int:
    """Exit status 0 if nothing was found."""
    from tests.security import test_fuzz

    FOUND.mkdir(parents=True, exist_ok=True)
    names = [name for name, function in vars(test_fuzz).items() if hasattr(function, "hypothesis")]
    ended = {}
    for name in names:
        print(f"{name}: {seconds} s", flush=True)  # noqa: T201
        corpus = FOUND / name
        corpus.mkdir(exist_ok=True)
        limits = [
            f"-max_total_time={seconds}",
            "-timeout=30",
            "-rss_limit_mb=4096",
            f"-artifact_prefix={FOUND}/{name}-",
        ]
        command = [sys.executable, "-m", "tests.security.fuzz", name, *limits, str(corpus)]
        ended[name] = subprocess.run(command, timeout=2 * seconds + 120).returncode
    found = [name for name, status in ended.items() if status != 0]
    print(f"found something: {', '.join(found)}" if found else "found nothing")  # noqa: T201
    return 1 if found else 0


def fuzz(name: str, *options: str) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["receiver"]):
        from tests.security import test_fuzz
    # The bytes that libFuzzer makes are what Hypothesis chooses by.
    atheris.Setup([name, *options], getattr(test_fuzz, name).hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fuzz(*sys.argv[1:])
    sys.exit(main(int(os.environ.get("SECONDS_EACH", "60"))))
