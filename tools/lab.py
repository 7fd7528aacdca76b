"""lab.py [--lab FOLDER/bin/jupyter-lab] [--shots FOLDER]: play notebooks/25 in a real JupyterLab, as a reader does.

JupyterLab is no dependency: install it anywhere, with the widgets' extensions (`pip install jupyterlab ipywidgets
anywidget`), and name its program. The kernel is this Python. All cells are run in a headless Chromium; then a slider is
moved, a list is used, another prompt is written, an emoji is placed and dragged, in the light and in the dark theme.
Exits 1 with what did not happen: a picture that stays as it is, one without words, a widget that is not drawn, an error
of a script. Not part of `make test`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from browser import chromium
from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as Late

ROOT = Path(__file__).parents[1]
NOTEBOOK = "25_with_a_kernel.ipynb"
FIGURES = ("explorer", "dials", "scrubber", "ladder", "editor", "quiz")  # in the notebook's order
ALPHA = "\N{GREEK SMALL LETTER ALPHA}, of the gate"
MS = 1000
PATIENCE = 600 * MS  # for a picture; a busy machine is slow


class Failed(Exception):
    """Something that a reader would have seen did not happen."""


@contextmanager
def lab(program: str, folder: Path) -> Iterator[str]:
    """The address of a JupyterLab with the notebook in `folder`, on this machine only."""
    for name, what in {
        "data/kernels/python3/kernel.json": {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3", "language": "python", "env": {"PYTHONPATH": str(ROOT)},
        },
        "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false"},
        # what is out of sight is drawn too, so that all figures can be waited for
        "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(what))
    (folder / "work").mkdir(exist_ok=True)
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder / "work" / NOTEBOOK)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(folder / place) for name, place in {
        "JUPYTER_DATA_DIR": "data", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "spaces",
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime",
    }.items()}  # fmt: skip
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=",
               "--ServerApp.password=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
               "--KernelSpecManager.ensure_native_kernel=False"]  # fmt: skip
    environment = {**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "0"}
    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen([program, *options, str(folder / "work")], env=environment, stdout=log, stderr=log)
        try:
            yield up(server, f"http://127.0.0.1:{port}", folder / "lab.log")
        finally:
            server.terminate()
            server.wait(30)


def up(server: subprocess.Popen, address: str, log: Path) -> str:
    """The address, as soon as it answers."""
    for _ in range(240):
        if server.poll() is not None:
            raise Failed(f"JupyterLab ended at once:\n{log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.5)
    raise Failed("JupyterLab does not answer")


class Reader:
    """A page with the notebook in it, and what a reader does there."""

    def __init__(self, page: Page, shots: Path):
        self.page, self.shots, self.theme, self.errors, self.sent = page, shots, "light", [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framesent", self.hear))

    def hear(self, frame: str | bytes) -> None:
        """Note what the page tells a widget in the kernel."""
        words = frame if isinstance(frame, str) else frame.decode(errors="replace")
        self.sent += re.findall(r'"method":"update","state":(.*?),"buffer_paths"', words)

    def open(self, address: str) -> None:
        """Open the notebook, run all of its cells, and wait for every figure."""
        self.page.goto(f"{address}/lab/tree/{NOTEBOOK}", timeout=PATIENCE)
        self.page.locator(".jp-Notebook").wait_for(timeout=PATIENCE)
        self.page.get_by_text("Python 3 | Idle").wait_for(timeout=PATIENCE)  # else Lab asks which kernel is meant
        self.page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        for name in FIGURES:
            self.picture(name).wait_for(timeout=PATIENCE)
            print(f"{self.theme}: {name} is drawn", flush=True)
        self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=PATIENCE)

    def rest(self) -> None:
        """Nothing moves by itself."""
        self.page.wait_for_timeout(10 * MS)
        if self.sent:
            raise Failed(f"controls that nobody has touched sent {', '.join(self.sent)}")

    def figure(self, name: str) -> Locator:
        """A live figure: the output of its cell."""
        cells = self.page.locator(".jp-CodeCell").filter(has=self.page.locator(".jupyter-widgets.widget-vbox"))
        return cells.nth(FIGURES.index(name)).locator(".jp-OutputArea-output").last

    def picture(self, name: str) -> Locator:
        return self.figure(name).locator("img[alt]").last

    def control(self, name: str, label: str) -> Locator:
        """What holds a labelled control."""
        rows = self.figure(name).locator(".widget-inline-hbox, .jupyter-widgets.widget-toggle-buttons")
        return rows.filter(has=self.page.get_by_text(label, exact=True)).first

    def changes(self, name: str, what: str, do) -> None:
        """Do something; the figure's picture becomes another one, and has words."""
        picture = self.picture(name)
        picture.scroll_into_view_if_needed()
        before = picture.get_attribute("src")
        do()
        handle = picture.element_handle()
        try:
            self.page.wait_for_function("([img, old]) => img.src !== old && img.complete && img.naturalWidth > 300",
                                        arg=[handle, before], timeout=PATIENCE)  # fmt: skip
        except Late as error:
            raise Failed(f"{name}: {what} leaves the picture as it was") from error
        if len(picture.get_attribute("alt") or "") < 60:
            raise Failed(f"{name}: the picture has no words after {what}")
        print(f"{self.theme}: {name}: {what} changes the picture", flush=True)

    def shoot_all(self, state: str) -> None:
        for name in FIGURES:
            self.figure(name).scroll_into_view_if_needed()
            self.figure(name).screenshot(path=self.shots / f"{self.theme}_{name}_{state}.png")

    def slide(self, name: str, label: str, key: str, times: int = 1) -> None:
        """Move a slider with the keyboard."""
        self.control(name, label).locator(".noUi-handle").focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def write(self, name: str, label: str, text: str) -> None:
        box = self.control(name, label).locator("input")
        box.fill(text)
        box.press("Enter")

    def drag(self) -> None:
        """Take the emoji in the middle of the stage to its lower left."""
        box = self.figure("editor").locator("[role=application]").bounding_box()
        x, y, side = box["x"], box["y"], box["width"]
        self.page.mouse.move(x + side / 2, y + side / 2)
        self.page.mouse.down()
        self.page.mouse.move(x + side / 4, y + side * 0.7, steps=3)
        self.page.mouse.up()

    def play(self) -> None:
        """Every figure once, by slider, text, mouse and button."""
        self.shoot_all("first")
        self.changes("explorer", "another prompt", lambda: self.write("explorer", "Text", "a red car"))
        self.changes("dials", "a slider", lambda: self.slide("dials", ALPHA, "ArrowRight", 8))
        cut = partial(self.control("dials", "Contrast").locator("select").select_option, "10 % cut off at either end")
        self.changes("dials", "a list", cut)
        self.changes("scrubber", "a slider", lambda: self.slide("scrubber", "Step", "ArrowRight", 4))
        self.changes("ladder", "a slider", lambda: self.slide("ladder", "Steps drawn anew", "ArrowRight", 2))
        self.write("editor", "Emoji", "whale")
        add = self.figure("editor").get_by_role("button", name="Add", exact=True)
        self.changes("editor", "an emoji that is placed", add.click)
        self.changes("editor", "an emoji that is dragged", self.drag)
        answer = self.control("quiz", "It is").get_by_role("button").first
        self.changes("quiz", "an answer", answer.click)
        self.shoot_all("played")

    def darken(self) -> None:
        """The same in JupyterLab's dark theme."""
        for bar, name in (("MenuBar", "Settings"), ("Menu", "Theme"), ("Menu", "JupyterLab Dark")):
            self.page.locator(f".lm-{bar}-itemLabel").get_by_text(name, exact=True).click()
        self.page.locator("body[data-jp-theme-light=false]").wait_for(state="attached", timeout=PATIENCE)
        self.theme = "dark"
        self.changes("explorer", "a word without meaning", lambda: self.write("explorer", "Text", "a zeppelin"))
        self.shoot_all("played")
        self.changes("explorer", "an empty prompt", lambda: self.write("explorer", "Text", ""))
        self.figure("explorer").screenshot(path=self.shots / "dark_explorer_wrong.png")


def tried(program: str, shots: Path) -> None:
    """One JupyterLab, one browser, one reader."""
    with tempfile.TemporaryDirectory() as folder, lab(program, Path(folder)) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1800})
        reader = Reader(page, shots)
        try:
            for do in (partial(reader.open, address), reader.rest, reader.play, reader.darken):
                do()
        except Exception:
            page.screenshot(path=shots / "failed.png")
            raise
    if reader.errors:
        raise Failed("errors of scripts: " + "; ".join(reader.errors))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lab", default="jupyter-lab", help="JupyterLab's program")
    parser.add_argument("--shots", type=Path, default=ROOT / "runs" / "lab", help="where the pictures of the screen go")
    asked = parser.parse_args()
    if shutil.which(asked.lab) is None:
        print(f"no program {asked.lab!r}: pip install jupyterlab ipywidgets anywidget, and name it", file=sys.stderr)
        return 2
    try:
        asked.shots.mkdir(parents=True, exist_ok=True)
        tried(asked.lab, asked.shots)
    except (Failed, FileNotFoundError, Late) as error:
        print(f"lab.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
