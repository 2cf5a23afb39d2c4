"""The only way out: HTTP with limits on time, size and addresses."""

from receiver.outbound.addresses import is_public, without_query
from receiver.outbound.client import ProviderClient
from receiver.outbound.downloads import Download, download

__all__ = ["Download", "ProviderClient", "download", "is_public", "without_query"]
