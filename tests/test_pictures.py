"""Pictures of the documentation know what drew them: what changes a picture is noticed, what does not is not."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("fresh", ROOT / "docs" / "fresh.py")
fresh = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fresh)


@pytest.fixture
def copy(tmp_path):
    """The code that draws, and empty pictures."""
    for folder in ("viewer", "docs", "bench"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.png", "__pycache__"))
    (tmp_path / "mimo").mkdir()
    shutil.copy(ROOT / "mimo" / "display_defaults.py", tmp_path / "mimo")
    for name in fresh.DRAWN_BY:
        (tmp_path / "docs" / "pictures" / name).touch()
    fresh.stamp(fresh.DRAWN_BY, tmp_path / "docs" / "pictures", tmp_path)
    return tmp_path


def stale(root):
    return {line.split(":")[0] for line in fresh.stale(root / "docs" / "pictures", root)}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_changes_a_picture_is_noticed(copy):
    assert stale(copy) == set()
    edit(copy / "viewer" / "surface.py", "AMBIENT = 0.45", "AMBIENT = 0.5")
    behind = stale(copy)  # the surface is imported by figures and contact sheets, at some remove
    assert {"demo.png", "b0-methods.png", "targets-paper.png"} <= behind
    assert not {"history.png", "costs.png", "architecture.png"} & behind
    fresh.stamp(behind, copy / "docs" / "pictures", copy)
    assert stale(copy) == set()
    edit(copy / "viewer" / "static" / "style.css", "border-radius: 3px", "border-radius: 5px")
    assert stale(copy) == {f"viewer-{name}.png" for name in ("demo", "dark", "history", "measurement", "b0")}


def test_comments_docstrings_and_layout_change_none(copy):
    edit(copy / "viewer" / "history.py", '"""Draw what', '"""Show what')
    edit(copy / "viewer" / "style.py", "MM = 1 / 25.4\n", "MM = 1 / 25.4  # of an inch\n\n\n")
    edit(copy / "viewer" / "static" / "gif.js", "// Films as GIF", "// A film as GIF")
    assert stale(copy) == set()


def test_pictures_that_are_not_known_or_missing_are_named(copy):
    (copy / "docs" / "pictures" / "new.png").touch()
    (copy / "docs" / "pictures" / "b0.png").unlink()
    lines = fresh.stale(copy / "docs" / "pictures", copy)
    assert lines == ["b0.png: is missing; docs/make.py makes it", "new.png: docs/fresh.py does not say what draws it"]


def test_every_picture_of_the_pages_is_there_and_known():
    """All that README and docs show, and nothing else."""
    there = {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}
    assert there == set(fresh.DRAWN_BY)
    pages = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    of_scripts = {fresh.gallery_picture(script) for script in fresh.gallery_scripts()}  # docs/build_site.py shows them
    for name in there - of_scripts - {"viewer-history.png", "viewer-measurement.png"}:
        assert f"pictures/{name}" in pages
