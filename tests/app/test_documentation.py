"""What the documentation says is what the program says."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from mimo.synth import targets

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
docs_make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs_make)


@pytest.mark.parametrize("name", docs_make.PAGES)
def test_generated_pages_are_up_to_date(name):
    page = (ROOT / "docs" / name).read_text()
    assert all(mark in page for mark in docs_make.MARKS.get(name, (docs_make.START, docs_make.END)))
    assert page == docs_make.current(name), "run `make docs`"


def test_every_picture_that_a_page_shows_is_there():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = [(page, link) for page in pages for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())]
    assert len(shown) >= 5
    for page, link in shown:
        assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_the_recipe_of_the_paper_is_documented_with_its_numbers():
    text = (ROOT / "docs" / "synthesizer.md").read_text()
    numbers = [*targets.STEP_RANGE, *targets.WIDTH_RANGE, targets.CENTER_RANGE, targets.MARGIN]
    numbers += [targets.SIGMOID_THRESHOLD, targets.SIGMOID_WIDTH, targets.MIN_WIDTH_VOXELS]
    for number in numbers:
        assert f"{number:g}" in text, number


def test_make_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text()
    described = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert {"help", "demo", "test", "lint", "type", "bench", "notebooks", "clean"} <= described
    assert described == set(re.search(r"\.PHONY: (.*)", makefile)[1].split())


@pytest.mark.parametrize("source", ["kernels.c", *sorted(path.name for path in (ROOT / "mimo").glob("*.h"))])
def test_an_edited_source_of_the_kernels_is_built_again(source):
    """As make sees it: the installation is out of date when the file is new, and not because of anything else."""
    plan = ["make", "--dry-run", f"--what-if=mimo/{source}", "type"]
    done = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--editable" in done.stdout
