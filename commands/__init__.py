"""Offer the commands of the command line: each reads its options and calls the packages, without mathematics."""

from mimo.commands.command_line import COMMANDS, cli, main

__all__ = ["COMMANDS", "cli", "main"]
