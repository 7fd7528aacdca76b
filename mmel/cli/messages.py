"""What the command line says beside its results, all of it on standard error."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from ..errors import MmelWarning

SAME = re.compile(r"\d+|'[^']*',? ?")  # what differs between warnings of one kind
MANY = 3  # of them that are shown


def console() -> Console:
    """A console made anew, for standard error may have been redirected since."""
    return Console(stderr=True, highlight=False)


def say(message: str, to: Console | None = None) -> None:
    """One message as it is: no markup in it, no line breaks added."""
    (to or console()).print(message, markup=False, soft_wrap=True)


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Say on a terminal what is loaded, and keep the libraries' logs quiet: what goes wrong is an error of ours."""
    if console().is_terminal:
        say(f"loading {what} ...")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show each different warning of this package once, in one line, and those of others only where asked for (-W).

    Of those that differ in numbers and quoted words only (a warning for each of a thousand pictures), some.
    """
    said: dict[str, set[str]] = {}
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", MmelWarning)
        usual = warnings.showwarning

        def show(message, category, *where, **how):
            if not issubclass(category, MmelWarning):
                usual(message, category, *where, **how)
            elif str(message) not in (alike := said.setdefault(SAME.sub("", str(message)), set())):
                if len(alike) < MANY:
                    say(f"warning: {message}")
                elif len(alike) == MANY:
                    say("warning: others like these are not shown.")
                if len(alike) <= MANY:
                    alike.add(str(message))

        warnings.showwarning = show
        yield
