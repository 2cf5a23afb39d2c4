"""Files that must survive a power cut."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Put on disk which files are in a directory: a file that was renamed is else only there until the power goes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
