"""Finds the address that a request comes from: the other end of its connection, or what a trusted proxy reports."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Scope

from api.limits import HttpLimits

_IPV6_PREFIX = 64  # one household or office has a whole /64 to itself


class Peers:
    """Finds addresses of clients, behind the trusted proxies that the limits name."""

    def __init__(self, limits: HttpLimits) -> None:
        self._trusted = limits.proxies()
        self._in_a_row = limits.proxies_in_a_row

    def is_proxy(self, host: str) -> bool:
        """True for the address of a trusted proxy."""
        address = _parsed(host)
        return address is not None and any(address in network for network in self._trusted)

    def address(self, scope: Scope) -> str:
        """Returns the address that the request comes from, as `group` writes it; "" where the server does not report
        one."""
        client = scope.get("client")
        host = str(client[0]) if client else ""
        if not self._trusted or not self.is_proxy(host):
            return group(host)
        told = [entry.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for entry in line.split(",")]
        # Each proxy appends the address it saw at the right; anything further left may be the client's invention.
        client = told[-self._in_a_row :][0] if told else ""
        return group(client) if _parsed(client) is not None else group(host)


@lru_cache(maxsize=4096)
def group(host: str) -> str:
    """Returns the address that counts as one peer: IPv4 as it is, IPv6 by its /64, an IPv4 address in IPv6 as IPv4."""
    address = _parsed(host)
    if address is None or address.version == 4:
        return str(address) if address is not None else host
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped if mapped is not None else address
