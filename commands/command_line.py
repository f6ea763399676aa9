"""Run a command of the command line and turn every failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata

import click

from mimo import kernels
from mimo.commands.array_geometry import array
from mimo.commands.autofocusing import autofocus
from mimo.commands.completion import completion
from mimo.commands.evaluation import evaluate
from mimo.commands.generate import demo, synth
from mimo.commands.images import reconstruct
from mimo.commands.learning import bench, train
from mimo.commands.measured import import_, info, prepare
from mimo.commands.pictures import export, figure
from mimo.commands.shared import example, say
from mimo.commands.view import view

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: list[click.Command] = [
    demo,
    synth,
    array,
    import_,
    prepare,
    autofocus,
    info,
    reconstruct,
    evaluate,
    figure,
    view,
    export,
    train,
    bench,
    completion,
]
"""All commands, in the order in which help and documentation list them."""

DONE, FAILED, BAD_INPUT = 0, 1, 2


def _say_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the version, and what computes on this machine: kernels, precision of networks, torch and its CUDA."""
    if wanted and not context.resilient_parsing:
        import torch

        from mimo.models.precision import resolve_precision

        precision = resolve_precision("auto", torch.device("cpu"))
        cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        click.echo(
            f"mimo, version {metadata.version('mimo-imaging')} (kernels: {kernels.describe()}; networks: {precision}; "
            f"torch {torch.__version__}; CUDA: {cuda})"
        )
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Show the version and exit.",
)
@example("mimo demo")
def cli() -> None:
    """Near-field MIMO radar imaging: synthesize measurements, reconstruct images, look at them.

    Exit codes: 0 done, 1 failed or interrupted, 2 bad input.
    """


for command in COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line, exit code 1 for a failure and 2 for bad input."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            code = cli.main(arguments, prog_name="mimo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = BAD_INPUT
    except click.exceptions.Abort:
        code = _complain("interrupted", FAILED)
    except KeyboardInterrupt:
        code = _complain("interrupted", FAILED)
    except click.ClickException as error:
        code = _complain(error.format_message(), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        said = f"{error.strerror}, expected a place that can be read and written" if error.strerror else str(error)
        code = _complain(f"{where}{said}", BAD_INPUT)  # one without the system's words was raised by us, in full
    except ValueError as error:
        code = _complain(str(error), BAD_INPUT)
    except Exception as error:
        code = _complain(f"{type(error).__name__}: {error}", FAILED)
    sys.exit(code or DONE)


def _warn(message: Warning | str, *_where: object) -> None:
    """Print a warning in one line, as errors are printed, without file and line of the program."""
    say(f"mimo: warning: {' '.join(str(message).split())}", err=True)


def _complain(text: str, code: int) -> int:
    if os.environ.get("MIMO_DEBUG"):
        raise
    say(f"mimo: {' '.join(text.split())}", err=True)
    return code
