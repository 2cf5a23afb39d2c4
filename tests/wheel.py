"""What is built of this checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a build reads; tests and what earlier builds left stay behind.
SOURCES = ["receiver", "handlers", "deploy", "pyproject.toml", "README.md", "LICENSE"]


def copy_sources(folder: Path) -> None:
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)


def build(folder: Path) -> Path:
    """A wheel below the folder, made from a copy: nothing is left in the checkout, and nothing of it found."""
    (folder / "copy").mkdir()
    copy_sources(folder / "copy")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "built")]
    result = subprocess.run(command, cwd=folder / "copy", capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    [file] = (folder / "built").glob("*.whl")
    return file
