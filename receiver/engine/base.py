"""What the rest of the program asks of an engine, whichever it is."""

from abc import ABC, abstractmethod


class Engine(ABC):
    """Decides when and where dispatches run. Their rows in the store are the truth, whatever it does.

    What is due, an engine hears of by `Store.wait`, as whoever stores an event calls `Store.wake`. What has to be done
    once in a while for the whole cluster is not its business: see `Store.claim_turn`.
    """

    @abstractmethod
    def run(self) -> bool:
        """Work until told to stop. False if it ended by itself, because a new process has to go on."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more work, let what runs finish, and return from `run`. Any thread may call it."""

    @abstractmethod
    def health(self) -> str | None:
        """What keeps it from working besides the store, for a person to read; None if nothing does."""
