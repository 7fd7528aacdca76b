"""What the book's builder gets wrong, put right: a local Sphinx extension."""

from __future__ import annotations

import re
from pathlib import Path

from docutils.nodes import make_id
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def keep_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """No script twice, no live-code loader (it names another host), widget code only beside a widget."""
    widgets = VIEW in (context.get("body") or "")
    seen, kept = set(), []
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", None) or {}
        name, body = str(getattr(script, "filename", script) or ""), attributes.get("body") or ""
        thebe = "THEBE_JS_URL" in body or "sphinx-thebe" in name
        for_widgets = ("vendor/" in name and "mathjax" not in name) or attributes.get("type") == STATE
        if thebe or (name, body) in seen or (for_widgets and not widgets):
            continue
        seen.add((name, body))
        kept.append(script)
    context["script_files"] = kept


FROM_DISK = """if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"""


def search_from_disk(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """A page from disk may not read the others: there the search shows titles alone, and asks for nothing in vain."""
    if page == "search":
        app.add_js_file(None, body=FROM_DISK)


# The theme hears keys when it has read the whole page. Ctrl+K (or Cmd+K) before that is kept until then, not lost.
EARLY_KEY = """(() => {
  let asked = false;
  const hear = (event) => {
    if (!/^k$/i.test(event.key) || event.ctrlKey === event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    asked = true;
  };
  addEventListener("keydown", hear, true);
  addEventListener("DOMContentLoaded", () => {
    removeEventListener("keydown", hear, true);
    if (asked) document.querySelector(".search-button__button")?.click();
  });
})();"""


TABLES = {
    "<th></th>": "<td></td>",  # an empty corner is no header: a screen reader would announce it as one
    '<th class="head"><p></p></th>': '<td class="head"></td>',
    # scrolled by key too
    '<div class="pst-scrollable-table-container">': '<div class="pst-scrollable-table-container" tabindex="0">',
}


def mend_tables(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Tables that can be read and scrolled without a mouse."""
    for old, new in TABLES.items():
        if "body" in context:
            context["body"] = context["body"].replace(old, new)


def show_handlers(app: Sphinx) -> None:
    """An extension that registers nodes for the one-page builder hides all nodes registered for html."""
    handlers = app.registry.translation_handlers
    if "singlehtml" in handlers:
        for node, pair in handlers.get("html", {}).items():
            handlers["singlehtml"].setdefault(node, pair)


def paper_numbers(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Equations carry the paper's numbers: the label eq-8 is (8), on its page and in every reference."""
    labels = {make_id(f"equation-{label}"): label for label in env.get_domain("math").equations}
    for numbered in env.toc_fignumbers.values():
        for name, number in numbered.get("displaymath", {}).items():
            label = labels.get(name, "")
            numbered["displaymath"][name] = (label.removeprefix("eq-"),) if label.startswith("eq-") else number
    return []


HEAVY = (  # lines of the theme's head
    # a page from disk may not ask for a font before its styles do, and no page uses all three
    re.compile(r'<link rel="preload" as="font"[^>]*>\n?'),
    # 1.5 MB that draw what the icon fonts draw already
    re.compile(r'<script [^>]*src="[^"]*/fontawesome/[^"]*\.js[^"]*"></script>\n?'),
)


def lighten(app: Sphinx, error: Exception | None) -> None:
    """Take out of every page what it loads in vain."""
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        light = text
        for line in HEAVY:
            light = line.sub("", light)
        if light != text:
            path.write_text(light, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", show_handlers)
    app.add_js_file(None, body=EARLY_KEY, priority=100)
    app.connect("env-get-updated", paper_numbers, priority=900)
    app.connect("html-page-context", search_from_disk, priority=500)
    app.connect("html-page-context", keep_scripts, priority=900)
    app.connect("html-page-context", mend_tables, priority=901)
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
