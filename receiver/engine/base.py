"""What the rest of the program asks of an engine, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Engine(ABC):
    """Decides when and where dispatches run. Their rows in the store are the truth, whatever it does."""

    @abstractmethod
    def enqueued(self, dispatch_ids: Sequence[int]) -> None:
        """Hear that these dispatches are due. Best effort: an engine also looks by itself."""

    @abstractmethod
    def run(self) -> None:
        """Work until told to stop."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more work, let what runs finish, and return from `run`. May be called by a signal handler."""

    @abstractmethod
    def health(self) -> str | None:
        """What keeps it from working, for a person to read; None if nothing does."""
