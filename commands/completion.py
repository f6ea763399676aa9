"""Print what makes a shell complete commands and options: the command completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mimo.commands.shared import example

__all__ = ["completion"]

VARIABLE = "_MIMO_COMPLETE"
"""The environment variable through which the shell asks the program for completions."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@example("mimo completion bash")
def completion(context: click.Context, shell: str) -> None:
    """Print a script with which a shell completes commands, options and files when Tab is pressed.

    In bash: mimo completion bash > ~/.local/share/bash-completion/completions/mimo; in zsh: a file _mimo in a folder of
    $fpath; in fish: ~/.config/fish/completions/mimo.fish. New shells then know it.
    """
    chosen = get_completion_class(shell)
    assert chosen is not None  # noqa: S101 - the choices are click's own
    click.echo(chosen(context.find_root().command, {}, "mimo", VARIABLE).source().strip())
