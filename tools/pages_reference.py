"""A page of every public function with its signature and first sentence, and links to it wherever one is named."""

from __future__ import annotations

import ast
import re
from html import escape
from pathlib import Path
from typing import NamedTuple

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PAGE = "book/reference"
NAMED = re.compile(
    r'<code class="docutils literal notranslate"><span class="pre">((?:mmel\.)?[\w.]+)(\(\))?</span></code>'
)
HIDDEN = ("mmel.cli.", "mmel.training.")
MATH = re.compile(r"\$([^$]+)\$")


class Entry(NamedTuple):
    """One public function or class."""

    path: str
    signature: str
    says: str


def entries(root: Path) -> dict[str, list[Entry]]:
    """Public functions and classes by module, as the sources have them."""
    found = {}
    for path in sorted((root / "mmel").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if not f"{module}.".startswith(HIDDEN):
            mine = [entry(module, node) for node in ast.parse(path.read_text()).body if is_public(node)]
            if mine:
                found[module] = mine
    return found


def is_public(node: ast.AST) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return isinstance(node, kinds) and not node.name.startswith("_") and bool(ast.get_docstring(node))


def entry(module: str, node: ast.FunctionDef | ast.ClassDef) -> Entry:
    arguments = "" if isinstance(node, ast.ClassDef) else f"({', '.join(names(node.args))})"
    says = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    return Entry(f"{module}.{node.name}", arguments, says)


def names(arguments: ast.arguments) -> list[str]:
    """Names of a signature, without annotations and defaults: those are in the source."""
    listed = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    listed += [f"*{arguments.vararg.arg}"] if arguments.vararg else ["*"] if arguments.kwonlyargs else []
    listed += [each.arg for each in arguments.kwonlyargs]
    return listed + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def sentence(text: str) -> str:
    """A docstring's sentence as HTML: code and mathematics as the page shows them."""
    text = escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return MATH.sub(r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)


def page(root: Path) -> str:
    """One section a module, one entry a function, each with an anchor of its full name."""
    parts = []
    for module, mine in entries(root).items():
        parts.append(f'<h2 id="module-{module}"><code>{module}</code></h2><dl class="reference">')
        for each in mine:
            name = each.path.rpartition(".")[2]
            shown = f"<code><b>{name}</b>{escape(each.signature)}</code>"
            parts.append(f'<dt id="{each.path}">{shown}</dt><dd>{sentence(each.says)}</dd>')
        parts.append("</dl>")
    return "\n".join(parts)


def targets(root: Path) -> dict[str, str]:
    """Anchors by the names that text uses: the full one, and the short one where it is the package's own."""
    found = {each.path: each.path for mine in entries(root).values() for each in mine}
    homes = {}
    for node in ast.walk(ast.parse((root / "mmel" / "__init__.py").read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            homes = ast.literal_eval(node.value)
    for home, public in homes.items():
        for name in public:  # where it is defined, else where it is imported from
            places = sorted(path for path in found if path.rpartition(".")[2] == name)
            own = f"mmel.{home}.{name}"
            if own in found or len(places) == 1:
                found[f"mmel.{name}"] = own if own in found else places[0]
    for path in [path for path in found if path.startswith(("mmel.metrics.", "mmel.stats.", "mmel.figures."))]:
        _, package, *_, name = path.split(".")
        found.setdefault(f"mmel.{package}.{name}", path)
    return found


def link_names(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Make each function that a page names in code a link to its entry."""
    if "body" not in context or page == PAGE or PAGE not in app.env.found_docs:
        return
    if not hasattr(app, "mmel_targets"):
        app.mmel_targets = targets(ROOT)
    address = context["pathto"](PAGE)

    def link(found: re.Match) -> str:
        target = app.mmel_targets.get(found[1])
        return f'<a class="api" href="{address}#{target}">{found[0]}</a>' if target else found[0]

    pieces = re.split(r"(<a\b.*?</a>)", context["body"], flags=re.DOTALL)
    context["body"] = "".join(each if each.startswith("<a") else NAMED.sub(link, each) for each in pieces)
