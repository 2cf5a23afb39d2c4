"""What pytest offers to authors of handlers once Receiver is installed: the fixture `running_receiver`.

pytest loads this wherever Receiver is installed, so what the fixture needs is imported when a test asks for it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from receiver.running import RunningReceiver


@pytest.fixture
def running_receiver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str | Mapping[str, Any]], "RunningReceiver"]]:
    """Start `receiver serve` with these tables, as text or as a mapping; it stops when the test ends.

    A handler's relative `path` starts at the folder of the test's file.
    """
    from receiver.running import RunningReceiver

    with ExitStack() as started:

        def start(tables: str | Mapping[str, Any]) -> RunningReceiver:
            folder = tmp_path / f"receiver-{len(list(tmp_path.glob('receiver-*'))) + 1}"
            folder.mkdir()
            return started.enter_context(RunningReceiver(folder, tables, handlers_in=request.path.parent))

        yield start
