"""The command line: `mmel explain`, `evaluate`, `report`, `methods`, `data`, `mmel verify`, `mmel --version`.

Torch, open_clip and matplotlib are imported inside the commands, so that `--help` and `--version` come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BadSetting, MmelError
from .data import data
from .evaluating import evaluate_command, report_command
from .messages import loading, one_line_warnings, say
from .options import Device, Model, Precision, Pretrained
from .plan import chosen, jobs_of, listing

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

app.add_typer(data, name="data")
app.command("evaluate")(evaluate_command)
app.command("report")(report_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error of the user's becomes one message and exit code 2."""
    with one_line_warnings():
        try:
            app(arguments, prog_name="mmel")
        except MmelError as error:
            say(f"error: {error}")
            sys.exit(2)


def show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"mmel {version('mmel')}")
        except PackageNotFoundError:
            typer.echo("mmel (run from its sources, not installed)")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Why does CLIP match this image with this text?"""


@app.command("explain")
def explain_command(
    image: Annotated[
        Path | None, typer.Argument(help="A picture, or a folder of pictures.", metavar="IMAGE", show_default=False)
    ] = None,
    text: Annotated[
        str | None,
        typer.Argument(help="The text that the picture is matched with.", metavar="TEXT", show_default=False),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="One of `mmel methods` (default: mmel), with settings where wanted: 'm2ib[beta=1]'; repeat it to see "
            "several side by side.",
        ),
    ] = None,
    scene: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead of IMAGE and TEXT: a scene saved as JSON in the playground."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder of the result, else NAME.mmel.png beside the picture.",
        ),
    ] = None,
    model: Model = "bundled",
    pretrained: Pretrained = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting, for each method that has it; may be repeated."),
    ] = None,
) -> None:
    """Explain a picture, or every picture of a folder: why does it match the text?

    Each result is a picture: the image, the map over it, the words coloured by the text map, and the score. A result of
    the same name is replaced; the image itself never is.
    """
    if (scene is None) == (image is None or text is None) or (scene is not None and image is not None):
        raise BadSetting("Missing argument, or one too many: give IMAGE and TEXT, or --scene FILE alone.")
    jobs = jobs_of(scene or image, output)
    if scene is None:
        asked = chosen(method or ["mmel"], settings or ())
    else:
        from .scene_file import read, run_scene

        state, asks = read(scene, method or [], settings or [])
    from ..clip import load_clip
    from .work import Question, run, run_all

    with loading(model):
        clip = load_clip(model, pretrained=pretrained, device=device, precision=precision)
    if scene is not None:
        typer.echo(run_scene(clip, jobs[0], state, asks))
        return
    question = Question(text, asked)
    if not image.is_dir():
        typer.echo(run(clip, jobs[0], question))
    elif failed := run_all(clip, jobs, question):
        raise MmelError(f"{failed} of {len(jobs)} pictures could not be explained (see above); the others are done.")


@app.command("methods")
def methods_command() -> None:
    """List the methods: what they explain, where they come from, their settings."""
    listing()


@app.command("verify")
def verify_command() -> None:
    """Check weights and scenes against their hashes, and the stored verdicts about the paper against the numbers."""
    from .verifying import verify

    verify()
