"""The built book in a headless Chromium: a server of one folder, and a browser that reaches no other host.

As a command it says what `make test` leaves out on a machine that has no Chromium, and nothing where there is one.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium on PATH: install it (Debian: apt-get install chromium)"
ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not print what it serves."""

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, ending with a slash, while a server of it runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


def program() -> str | None:
    """This machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium of this machine. Raises `FileNotFoundError` where there is none."""
    path = program()
    if not path:
        raise FileNotFoundError(MISSING)
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=ALONE)
        try:
            yield running
        finally:
            running.close()


if __name__ == "__main__" and not program():
    print(f"SKIPPED: everything that is tested in a browser, for there is {MISSING}.", file=sys.stderr)
