"""A clean copy of the checkout: what git tracks and what it would add, nothing built and nothing ignored."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
WINGS = ("data", "synth", "models", "recon", "autofocus", "interop", "viewer", "train", "bench", "commands")
"""Folders of the repository that are installed below ``mimo``."""


def source_files():
    """Paths of the checkout's files, relative to it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({Path(name) for name in names if name and (ROOT / name).is_file()})


def copy_checkout(folder, *, only=None):
    """Copy the checkout's files to a folder; of the tops named in `only`, if given."""
    for path in source_files():
        if only is None or path.parts[0] in only:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
    return folder
