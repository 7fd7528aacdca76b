"""The downloader against a server on this machine: what it fetches, what it refuses, and how it goes on."""

from __future__ import annotations

import csv
import errno
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmel.cli import main
from mmel.data import Limits, check, fetch, fetching, open_dataset
from mmel.data.download import download, public
from mmel.data.fetching import read_list
from mmel.errors import BadSetting, DatasetError, DownloadError

HERE = Limits(seconds=2.0, most_bytes=200_000, private=True)  # the server of the tests is on a private address


def picture(kind: str = "JPEG", seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """/N.jpg is picture N; other paths are each a way to go wrong."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, what: bytes, times: int = 100) -> None:
        """A little at a time, so that no single wait is long."""
        for _ in range(times):
            self.wfile.write(what)
            self.wfile.flush()
            time.sleep(0.1)

    def do_GET(self):
        self.server.asked[self.path] += 1
        self.close_connection = True
        name = self.path.lstrip("/").partition("?")[0]
        with suppress(OSError):  # the client goes away, as it should
            self.way(name)

    def way(self, name: str) -> None:
        redirects = {
            "there": "/1.jpg", "round": "/round", "file": "file:///etc/hostname", "inside": "http://10.0.0.1/1.jpg",
            "ftp": "ftp://pictures.example/1.jpg", "nowhere": "", "tall%20order": "/2.jpg",
        }  # fmt: skip
        if name in redirects:
            self.answer(status=302, Location=redirects[name])
        elif name == "slow-body":
            self.answer(Content_Length="9000")
            self.drip(b"x")
        elif name == "slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self.drip(b"X-A: b\r\n")
        elif name == "large":
            self.answer(b"x" * 1000, Content_Length="300000")
        elif name == "endless":  # without saying how long it is
            self.answer(Content_Length="")
            self.wfile.write(b"x" * 400_000)
        elif name == "short":
            self.answer(picture()[:200], Content_Length="900")
        elif name == "page":
            self.answer(b"<html>gone</html>", Content_Type="image/jpeg")
        elif name == "cut":
            self.answer(picture()[:-300])
        elif name == "nonsense":
            self.wfile.write(b"220 mail server ready\r\n\r\n")
        elif name == "png":
            self.answer(picture("PNG"))
        elif name == "script":
            self.answer(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Content_Type="image/svg+xml")
        elif name.endswith(".jpg") and name[:-4].isdigit():
            time.sleep(self.server.pause)
            self.answer(picture(seed=int(name[:-4])))
        else:
            self.answer(b"not here", status={"error": 503}.get(name, 404))


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.pause, running.daemon_threads = Counter(), 0.0, True
        running.url = f"http://127.0.0.1:{running.server_address[1]}/"
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


def listing(path: Path, urls: list[str]) -> Path:
    path.write_text("".join(f"caption {number} ,\t{url}\n" for number, url in enumerate(urls)))
    return path


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


# one address


def test_a_picture_comes_as_it_is(server):
    assert download(server.url + "1.jpg", HERE) == picture(seed=1)
    assert download(server.url + "there", HERE) == picture(seed=1)
    assert download(server.url + "tall order", HERE) == picture(seed=2)
    assert download(f" {server.url}1.jpg?a=b&c=d%20e#part\n", HERE) == picture(seed=1)
    assert server.asked["/1.jpg?a=b&c=d%20e"] == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone", "^status 404$"),
        ("error", "^status 503$"),
        ("round", "^redirects: more than 5"),
        ("nowhere", "^status 302"),
        ("file", "^scheme file: only http and https"),
        ("ftp", "^scheme ftp"),
        ("slow-body", "^timeout: not done after 0.5 seconds"),
        ("slow-head", "^timeout"),
        ("large", "^size: 300,000 bytes, more than 200,000"),
        ("endless", "^size: more than 200,000"),
        ("short", "^connection"),
        ("nonsense", "^connection: BadStatusLine"),
    ],
)
def test_what_goes_wrong_is_said_in_time(server, name, says):
    start = time.monotonic()
    with pytest.raises(DownloadError, match=says):
        download(server.url + name, Limits(seconds=0.5, most_bytes=200_000, private=True))
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "scheme file"),
        ("data:image/png;base64,AAAA", "scheme data"),
        ("HTTPS+x://a/b", "scheme https.x"),
        ("/only/a/path.jpg", "scheme none"),
        ("http:///a.jpg", "address: it has no host"),
        ("http://user:word@pictures.example/a.jpg", "address"),
        ("http://pictures.example:99999/a.jpg", "address: Port out of range"),
        ("http://[::1/a.jpg", "address"),
        ("http://no-such-host.invalid/a.jpg", "host: no-such-host.invalid is not known"),
        ("http://" + "a" * 70 + ".example/a.jpg", "host: a+"),
    ],
)
def test_addresses_that_are_none_are_refused(url, says):
    with pytest.raises(DownloadError, match=says):
        download(url, HERE)


def test_ones_own_network_is_refused(server, monkeypatch):
    """By its number, by its name, through a redirect, and where a name has a public address and a private one."""
    strict = Limits(seconds=2.0)
    port = server.server_address[1]
    for host in (
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ):
        with pytest.raises(DownloadError, match=r"^(private address|host:)"):
            download(f"http://{host}:{port}/1.jpg", strict)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(DownloadError, match=r"private address 127\.0\.0\.1"):
        download("http://two-faced.example/1.jpg", strict)
    assert not server.asked


def test_a_redirect_into_ones_own_network_is_refused(server, monkeypatch):
    look_up = socket.getaddrinfo
    port = server.server_address[1]

    def answer(host, *rest, **how):
        if host == "pictures.example":
            return look_up("127.0.0.1", port, type=socket.SOCK_STREAM)
        return look_up(host, *rest, **how)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr("mmel.data.download.public", lambda address: address == "127.0.0.1")
    with pytest.raises(DownloadError, match=r"private address 10\.0\.0\.1"):
        download("http://pictures.example/inside", Limits(seconds=2.0))
    assert server.asked == {"/inside": 1}


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.64.0.1",
        "255.255.255.255", "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::808:808",
        "2002:a00:1::",
        "ff02::1", "::", "::7f00:1",
    ],
)  # fmt: skip
def test_private_addresses(address):
    assert not public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"]
)
def test_public_addresses(address):
    assert public(address)


def test_a_certificate_that_does_not_fit_is_refused(server):
    with pytest.raises(DownloadError, match=r"^(certificate|connection|timeout)"):
        download(server.url.replace("http:", "https:") + "1.jpg", Limits(seconds=1.0, private=True))


# a list


BAD = {
    "gone": "status 404", "page": "no picture", "slow-body": "timeout", "large": "size", "cut": "no picture",
    "script": "no picture", "file": "scheme file",
}  # fmt: skip


def test_a_list_becomes_a_dataset(server, tmp_path):
    urls = [server.url + name for name in ("1.jpg", *BAD, "png", "there")]
    tsv = listing(tmp_path / "list.tsv", urls)
    limits = Limits(seconds=0.5, most_bytes=200_000, private=True)
    found = fetch(tsv, tmp_path / "root", workers=4, limits=limits)
    assert (found.good, found.dead) == (3, len(BAD))
    assert found.reasons == Counter(BAD.values())
    dead = table(tmp_path / "root/dead.tsv")
    assert [(row["line"], row["url"]) for row in dead] == [(str(i), urls[i]) for i in range(1, len(BAD) + 1)]
    assert all(row["reason"].startswith(reason) for row, reason in zip(dead, BAD.values(), strict=True))
    data = open_dataset("conceptual-captions", root=tmp_path / "root")
    assert data.keys == ("images/000000000.jpg", "images/000000008.png", "images/000000009.jpg")
    assert data.captions == (("caption 0 ,",), ("caption 8 ,",), ("caption 9 ,",))
    assert (tmp_path / "root" / data.keys[0]).read_bytes() == picture(seed=1)
    assert [each.what for each in check("conceptual-captions", tmp_path / "root")][1] == "dead links"
    assert sorted(each.name for each in (tmp_path / "root/images").iterdir()) == [Path(key).name for key in data.keys]


def test_the_same_command_again_asks_only_for_what_is_left(server, tmp_path):
    tsv = listing(tmp_path / "list.tsv", [server.url + name for name in ("1.jpg", "gone", "2.jpg", "3.jpg")])
    root = tmp_path / "root"
    assert fetch(tsv, root, count=3, limits=HERE).good == 2
    assert sum(server.asked.values()) == 3
    first = (root / "captions.tsv").read_bytes()
    assert fetch(tsv, root, count=3, limits=HERE).dead == 1
    assert sum(server.asked.values()) == 3 and (root / "captions.tsv").read_bytes() == first
    (root / "images/000000002.jpg").unlink()
    assert fetch(tsv, root, limits=HERE).good == 3
    assert server.asked == {"/1.jpg": 1, "/gone": 1, "/2.jpg": 2, "/3.jpg": 1}
    assert fetch(tsv, root, limits=HERE, again=True).dead == 1
    assert server.asked["/gone"] == 2
    whole = (root / "captions.tsv").read_bytes()
    fetch(tsv, tmp_path / "new", workers=1, limits=HERE)
    assert (tmp_path / "new/captions.tsv").read_bytes() == whole


def test_a_run_that_is_killed_goes_on(server, tmp_path):
    """By SIGKILL, twice; then the folder is as if nothing had happened, and little was asked for twice."""
    tsv = listing(tmp_path / "list.tsv", [f"{server.url}{number}.jpg" for number in range(30)])
    command = [
        sys.executable, "-c", "import sys; from mmel.cli import main; main(sys.argv[1:])", "data", "fetch",
        "conceptual-captions", "--tsv", str(tsv), "--root", str(tmp_path / "root"), "--workers", "2", "--allow-private",
    ]  # fmt: skip
    server.pause = 0.1
    for wanted in (4, 12):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while sum(server.asked.values()) < wanted and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert not (tmp_path / "root/captions.tsv").exists()
    with open(tmp_path / "root/fetch.jsonl", "a") as log:
        log.write('{"line": 29, "url": "htt')  # what a kill leaves of a line
    server.pause = 0.0
    assert fetch(tsv, tmp_path / "root", limits=HERE).good == 30
    assert sum(server.asked.values()) <= 30 + 2 * 5
    assert open_dataset("conceptual-captions", root=tmp_path / "root")[29].image.size == (32, 24)


def test_a_folder_of_another_list_is_refused(server, tmp_path):
    fetch(listing(tmp_path / "a.tsv", [server.url + "1.jpg"]), tmp_path / "root", limits=HERE)
    with pytest.raises(DatasetError, match="another list: choose an empty folder"):
        fetch(listing(tmp_path / "b.tsv", [server.url + "2.jpg"]), tmp_path / "root", limits=HERE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("caption\turl\textra\n", "line 1 of list.tsv is not a caption, a tab and an address"),
        ("a dog\thttp://a.example/b\nno tab here\n", "line 2"),
        ("a dog\thttp://a.example/b\n\ncat\thttp://a.example/c\n", "line 2"),
        ("\thttp://a.example/b\n", "line 1"),
    ],
)
def test_a_list_that_is_none_is_said(tmp_path, text, says):
    (tmp_path / "list.tsv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        fetch(tmp_path / "list.tsv", tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_list_is_read_as_it_is_published(tmp_path):
    """No header, quotes and other line ends within captions as they stand."""
    (tmp_path / "list.tsv").write_bytes(
        'a "quoted dog\thttp://a.example/b,c\ncaf\u00e9\u2028 bar\thttp://a.example/d\n'.encode()
    )
    lines = read_list(tmp_path / "list.tsv")
    assert [(line.number, line.caption, line.url) for line in lines] == [
        (0, 'a "quoted dog', "http://a.example/b,c"),
        (1, "caf\u00e9 bar", "http://a.example/d"),
    ]
    with pytest.raises(DatasetError, match="cannot be read"):
        read_list(tmp_path / "no.tsv")


def test_settings_that_cannot_be(tmp_path):
    tsv = listing(tmp_path / "list.tsv", ["http://a.example/b"])
    for how in ({"count": 0}, {"workers": 0}):
        with pytest.raises(BadSetting, match="whole numbers from 1"):
            fetch(tsv, tmp_path / "root", **how)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        fetch(tsv, tmp_path / "file")


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(server, tmp_path, monkeypatch):
    tsv = listing(tmp_path / "list.tsv", [f"{server.url}{number}.jpg" for number in range(6)])
    write = fetching._replace

    def full(path, content):
        if path.name == "000000003.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(fetching, "_replace", full)
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\): what is done is kept"):
        fetch(tsv, tmp_path / "root", workers=1, limits=HERE)
    assert len(open_dataset("conceptual-captions", root=tmp_path / "root")) >= 3
    monkeypatch.undo()
    assert fetch(tsv, tmp_path / "root", limits=HERE).good == 6
    assert server.asked["/0.jpg"] == 1


# the command line


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return end.value.code or 0


def test_fetch_and_check_on_the_command_line(server, tmp_path, capsys):
    tsv = listing(tmp_path / "list.tsv", [server.url + name for name in ("1.jpg", "gone", "2.jpg")])
    fetching = ("data", "fetch", "conceptual-captions", "--tsv", tsv, "--root", tmp_path / "root")
    assert run(*fetching) == 0
    out, err = capsys.readouterr()
    assert "0 pictures in" in out and "3 dead links" in out
    assert "3 x private address 127.0.0.1" in err and not server.asked
    assert run(*fetching, "--again", "--allow-private") == 0
    assert capsys.readouterr().out.startswith("2 pictures in")
    assert run("data", "check", "conceptual-captions", "--root", tmp_path / "root") == 0
    out = capsys.readouterr().out
    assert "dead links: 1, listed in dead.tsv" in out and "2 of 2 opened" in out and "terms" in out
    assert run("data", "fetch", "imagenet", "--tsv", tsv, "--root", tmp_path) == 2
    assert "`mmel data check imagenet` says how" in capsys.readouterr().err
