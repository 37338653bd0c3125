"""Connections whose deadline holds, however the other side drips its bytes.

An HTTP library's time-out starts anew with each read, so that a byte now and then holds a call for
ever. Here every connect, handshake, read and write of a request gets what is left until one
deadline. A deadline is a value of `time.monotonic()`; it travels in the place of the time-outs, for
these are all that the library hands down to the network. No thread watches.

Two waits are not covered: the look-up of a host name, which the system's resolver limits, and TLS
inside TLS (a proxy behind https before a server behind https), whose time-out starts anew.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

_MOST_WAIT_S = 1e6
"""Longest single wait: the system takes no infinite ones."""
_PIECE_BYTES = 2**14
"""Written at a time: the library's time-out starts anew with each step of a write."""


def hold_deadlines(client: httpx2.Client) -> None:
    """Make all connections of a new client, through proxies too, read its time-outs as deadlines:
    give each request `timeout_until(deadline_s)`."""
    # Neither library has a public way to give the network to a client that also follows proxies.
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = _DeadlineBackend()


def timeout_until(deadline_s: float) -> httpx2.Timeout:
    """What to give a request of a client that holds deadlines."""
    timeout = httpx2.Timeout(deadline_s)
    timeout.pool = min(
        left_s(deadline_s), _MOST_WAIT_S
    )  # not the network's: the wait for a free connection
    return timeout


def left_s(deadline_s: float) -> float:
    """Seconds until the deadline; 0 where it has passed.

    Example:
        >>> left_s(0.0)
        0.0
    """
    return max(0.0, deadline_s - time.monotonic())


class _DeadlineStream(httpcore2.NetworkStream):
    """A connection whose `timeout` arguments are deadlines."""

    def __init__(self, stream: httpcore2.NetworkStream):
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            piece = buffer[start : start + _PIECE_BYTES]
            self._stream.write(piece, _left(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        time_s = _left(timeout, httpcore2.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, time_s))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore2.NetworkBackend):
    """Opens connections whose `timeout` arguments are deadlines."""

    def __init__(self) -> None:
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(str(error)) from error
        # One by one: the library gives each address of a name all of the time.
        addresses = dict.fromkeys(str(entry[4][0]) for entry in entries)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            time_s = _left(timeout, httpcore2.ConnectTimeout)
            try:
                stream = self._backend.connect_tcp(
                    address, port, time_s, local_address, socket_options
                )
            except httpcore2.ConnectError as error:
                failure = error
            else:
                return _DeadlineStream(stream)
        raise failure


def _left(deadline_s: float | None, error: type[httpcore2.TimeoutException]) -> float | None:
    """Seconds until the deadline. Raises `error` where it has passed: a time-out of 0 would mean
    not to wait, and bytes that are there already would be read for ever."""
    if deadline_s is None:
        return None
    time_s = left_s(deadline_s)
    if time_s <= 0:
        raise error("the deadline has passed")
    return min(time_s, _MOST_WAIT_S)
