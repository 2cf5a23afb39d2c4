"""A handler that does nothing."""

from receiver import Event, Router

router = Router()


@router.on("*", "*")
def nothing(event: Event) -> None:
    """Return."""
