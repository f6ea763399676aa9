"""The commands of the command line: each reads its options and calls the packages. No mathematics here."""

import click

from commands.generate import demo, synth
from commands.images import evaluate, reconstruct
from commands.learning import bench, train
from commands.measured import import_, info, prepare
from commands.pictures import export, figure
from commands.view import view

COMMANDS: list[click.Command] = [
    demo,
    synth,
    import_,
    prepare,
    info,
    reconstruct,
    evaluate,
    figure,
    view,
    export,
    train,
    bench,
]
"""In the order in which help and documentation list them."""
