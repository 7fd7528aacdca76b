"""Links that open a chapter's notebook in Binder or Colab: off, until the variable REPOSITORY names a place.

    make book REPOSITORY=https://github.com/OWNER/NAME [BRANCH=main]

The links open the source notebook, not the executed copy, which is in no repository. Binder reads environment.yml.
"""

from __future__ import annotations

import os
import re

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

PLACE = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")


def set_repository(app: Sphinx, config: Config) -> None:
    """Give the theme the repository and its launch buttons, if one is named."""
    place = os.environ.get("REPOSITORY", "").rstrip("/")
    if not place:
        return
    if not PLACE.fullmatch(place):
        raise ConfigError(f"REPOSITORY is https://github.com/OWNER/NAME; got {place!r}.")
    options = dict(config.html_theme_options)
    options |= {
        "repository_url": place,
        "repository_branch": os.environ.get("BRANCH") or "main",
        "use_repository_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }
    config.html_theme_options = options


def source_notebooks(buttons: object) -> None:
    """Replace executed/ by notebooks/ in every address, in place."""
    for button in buttons if isinstance(buttons, list) else [buttons]:
        if isinstance(button, dict):
            if isinstance(button.get("url"), str) and button["url"].startswith("https://"):
                button["url"] = button["url"].replace("executed/", "notebooks/").replace("executed%2F", "notebooks%2F")
            for inner in button.values():
                if isinstance(inner, (list, dict)):
                    source_notebooks(inner)


def point_to_sources(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    source_notebooks(context.get("header_buttons", []))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", set_repository, priority=900)
    app.connect("html-page-context", point_to_sources, priority=902)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
