"""The only way out: HTTP with limits on time, size and addresses."""

from receiver.outbound.addresses import is_public, without_query
from receiver.outbound.client import ProviderClient
from receiver.outbound.downloads import Download, download
from receiver.outbound.handlers import HandlerClient

__all__ = ["Download", "HandlerClient", "ProviderClient", "download", "is_public", "without_query"]
