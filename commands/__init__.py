"""Define the commands of the command line: each reads its options and calls the other parts of the program."""

from mimo.commands.command_line import COMMANDS, cli, main

__all__ = ["COMMANDS", "cli", "main"]
