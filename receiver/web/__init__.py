"""The endpoint that providers post to."""

from receiver.web.app import create_app

__all__ = ["create_app"]
