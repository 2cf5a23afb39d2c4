"""URLs, the addresses they lead to, and which of these are public."""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from receiver.errors import AddressRefused, RequestFailed

_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
# What `ipaddress` calls global in some version of Python, and is not, or leads elsewhere.
_NOT_PUBLIC = [
    ip_network("192.0.0.0/24"),  # protocol assignments; a metadata service in one cloud
    ip_network("192.88.99.0/24"),  # relays of 6to4
    ip_network("168.63.129.16/32"),  # the platform's own services in another cloud
    ip_network("2001::/23"),  # protocol assignments, among them Teredo, which holds an IPv4 address
    ip_network("2002::/16"),  # 6to4, which holds an IPv4 address
    ip_network("3fff::/20"),  # documentation
]


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet can reach, and nothing nearer."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip in _NAT64:
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    # Only unicast: the other forms of IPv6 that hold an IPv4 address are outside of it.
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def without_query(url: str) -> str:
    """A URL without what may be secret in it: user name, password, query and fragment."""
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", url, maxsplit=1)[0], count=1)


def checked_url(url: str) -> httpx.URL:
    """The URL, if it is one of the web without a password in it.

    Raises:
        AddressRefused: it is some other URL.
        RequestFailed: it is none.
    """
    try:
        parsed = httpx.URL(url)
        # Raises for a name that is not one, only now.
        host_of(parsed)
    except (httpx.InvalidURL, ValueError):
        raise RequestFailed("that is not a URL", retry=False) from None
    if parsed.scheme not in ("http", "https"):
        raise AddressRefused(f"only http and https are fetched, not {parsed.scheme[:20]!r}")
    if parsed.userinfo:
        raise AddressRefused(f"the URL at {host_of(parsed)} has a user name or password in it")
    return parsed


def host_of(url: httpx.URL) -> str:
    """Its host, no longer than a name can be."""
    return url.host[:253]


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses that a host name leads to, in the order to try them.

    Raises:
        RequestFailed: there are none, or no such port.
    """
    # The C library would take a larger port modulo 65536.
    if not 0 < port < 2**16:
        raise RequestFailed(f"{host[:253]} has no port {port}", retry=False, sent=False)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RequestFailed(f"the name {host[:253]} cannot be resolved: {error}", sent=False) from None
    return [str(address[0]) for *_, address in found]


def check_public(host: str, addresses: Iterable[str]) -> None:
    """Let pass only addresses that are all public.

    Raises:
        AddressRefused: one of them is not.
    """
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(
                f"{host[:253]} leads to {address}, which is not a public address; "
                "set allow_private = true if it is one of yours"
            )
