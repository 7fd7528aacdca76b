"""One file from a web address that nobody has vetted: limits on time and size, and no way into one's own network.

The standard library's client is used on an address that was looked up and checked here: a client that looks the name
up again, as requests or httpx do, may be sent elsewhere by the second answer. A pool of connections would gain
nothing, since nearly every picture of Conceptual Captions lies on another host. Proxies are not used for the same
reason: the check would be theirs.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ..errors import DownloadError

PORTS = {"http": 80, "https": 443}
MOVED = (301, 302, 303, 307, 308)
EMBEDDED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))  # an IPv4 address in the last 32 bits
TRANSLATED = ipaddress.ip_network("64:ff9b:1::/48")  # of one's own network, which older Pythons call global
HEADERS = {
    "User-Agent": "mmel (fetches the pictures of a published list of captions)",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(frozen=True)
class Limits:
    """What a download may take. `private` allows addresses of one's own network: for a mirror there, and for tests."""

    seconds: float = 20.0  # for all of it, redirects included
    most_bytes: int = 20_000_000
    redirects: int = 5
    private: bool = False


def download(url: str, limits: Limits = Limits()) -> bytes:
    """The bytes at an http or https address; raises `DownloadError` for everything else."""
    end = time.monotonic() + limits.seconds
    for _ in range(limits.redirects + 1):
        parts = _checked(url)
        with _Fetch(parts, end, limits) as fetch:
            answer = fetch.answer()
            if answer.status == 200:
                return fetch.body(answer)
            place = answer.headers.get("Location")
        if answer.status not in MOVED or not place:
            raise DownloadError(f"status {answer.status}")
        url = urljoin(url, place)
    raise DownloadError(f"redirects: more than {limits.redirects}")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise DownloadError(f"address: {error}") from error
    if parts.scheme not in PORTS:
        raise DownloadError(f"scheme {parts.scheme[:20] or 'none'}: only http and https are fetched")
    if not parts.hostname or parts.username or parts.password is not None or port == 0:
        raise DownloadError("address: it has no host, or a user or port that is not allowed")
    return parts


def public(address: str) -> bool:
    """Is this an address of the public internet, also where an IPv6 one wraps an IPv4 one?"""
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 6:
        if found in TRANSLATED:
            return False
        if any(found in network for network in EMBEDDED):
            return public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if inner := found.ipv4_mapped or found.sixtofour:
            return public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _look_up(host: str, port: int, private: bool) -> list[tuple]:
    """Every address of a host, all of them public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DownloadError(f"host: {host[:80]} is not known") from error
    if inside := next((each[4][0] for each in found if not private and not public(each[4][0])), None):
        raise DownloadError(f"private address {inside}: only the public internet is fetched from")
    return found


class _Fetch:
    """One request on a socket of ours, which is shut when time is up, whatever it is doing then."""

    def __init__(self, parts: SplitResult, end: float, limits: Limits):
        self.parts, self.end, self.limits = parts, end, limits
        self.sock: socket.socket | None = None
        self.late = False
        self.timer = threading.Timer(self._left(), self._shut)
        self.timer.daemon = True

    def __enter__(self) -> _Fetch:
        self.timer.start()
        return self

    def __exit__(self, *_) -> None:
        self.timer.cancel()
        if self.sock is not None:
            self.sock.close()

    def _left(self) -> float:
        return max(0.001, self.end - time.monotonic())

    def _shut(self) -> None:
        self.late = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # of the socket itself, under any TLS

    def _failed(self, error: Exception) -> DownloadError:
        if self.late or isinstance(error, TimeoutError) or time.monotonic() >= self.end:
            return DownloadError(f"timeout: not done after {self.limits.seconds:g} seconds")
        kind = "certificate" if isinstance(error, ssl.SSLError) else "connection"
        return DownloadError(f"{kind}: {type(error).__name__} {error}"[:200])

    def answer(self) -> HTTPResponse:
        """Status and headers."""
        host, port = self.parts.hostname, self.parts.port or PORTS[self.parts.scheme]
        places = _look_up(host, port, self.limits.private)
        try:
            self._connect(places, host)
            connection = HTTPConnection(host, port)
            connection.sock = self.sock
            path = quote(self.parts.path or "/", safe="/%:=&+$,;@~!*'()") + (
                f"?{quote(self.parts.query, safe='/%:=&+$,;@~!*?[]()')}" if self.parts.query else ""
            )
            connection.request("GET", path, headers=HEADERS | {"Host": self._host()})
            return connection.getresponse()
        except DownloadError:
            raise
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            raise self._failed(error) from error

    def _host(self) -> str:
        host = self.parts.hostname
        name = f"[{host}]" if ":" in host else host.encode("idna").decode() if not host.isascii() else host
        return f"{name}:{self.parts.port}" if self.parts.port else name

    def _connect(self, places: list[tuple], host: str) -> None:
        """To the first address that answers; in TLS where the scheme says so."""
        for number, (family, kind, protocol, _, address) in enumerate(places):
            self.sock = socket.socket(family, kind, protocol)
            self.sock.settimeout(self._left() / (len(places) - number))
            try:
                self.sock.connect(address)
                break
            except OSError:
                self.sock.close()
                if number == len(places) - 1:
                    raise
        if self.parts.scheme == "https":
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
            self.sock.settimeout(self._left())
            self.sock.do_handshake()
        self.sock.settimeout(self._left())

    def body(self, answer: HTTPResponse) -> bytes:
        """The content, as far as it keeps to the limits."""
        most = self.limits.most_bytes
        if (answer.length or 0) > most:
            raise DownloadError(f"size: {answer.length:,} bytes, more than {most:,}")
        parts, total = [], 0
        try:
            while part := answer.read1(65536):
                parts.append(part)
                total += len(part)
                if total > most:
                    raise DownloadError(f"size: more than {most:,} bytes")
                if self.late:
                    raise TimeoutError
        except DownloadError:
            raise
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            raise self._failed(error) from error
        if self.late or answer.length:
            raise self._failed(ConnectionError("the answer ended early"))
        return b"".join(parts)
