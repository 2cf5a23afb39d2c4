"""The page and the API for people who run it: a process and an address of their own."""

from receiver.admin.app import create_app

__all__ = ["create_app"]
