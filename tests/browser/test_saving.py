"""What the page saves: pictures in a size, drawings, films, and the command that draws the view again."""

import base64
import io
import re
import shlex
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from chromium import settled, show, state, visit
from click.testing import CliRunner
from PIL import Image
from served import served
from viewer_samples import GRID, make_file

from mimo import data
from mimo.commands.command_line import cli

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_file(tmp_path_factory.mktemp("saving") / "images.h5")


@pytest.fixture(scope="module")
def site(path):
    with served(path) as address:
        yield address


def saved(page, button, **choices) -> bytes:
    """Open the dialog, choose, and return the file that the button gives."""
    page.locator("#save-as").click()
    for name, value in choices.items():
        control = page.locator(f"#save-{name}")
        if isinstance(value, bool):
            control.set_checked(value)
        elif name == "ground":
            control.select_option(value)
        else:
            control.fill(str(value))
    with page.expect_download(timeout=120_000) as download:
        page.locator(f"#{button}").click()
    return Path(download.value.path()).read_bytes()


def test_a_png_has_the_size_the_dpi_and_the_images_that_were_chosen(page, site):
    visit(page, f"{site}#theme=dark&hidden=0.alpha&scene=1")
    before = state(page)
    picture = Image.open(io.BytesIO(saved(page, "save-sheet", width=90, dpi=150, ground="white", columns=1)))
    assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.02)
    assert picture.width == pytest.approx(90 / 25.4 * 150, abs=4)
    assert (np.asarray(picture.convert("RGBA"))[0, 0] == 255).all()  # white, though the page is dark
    assert state(page) == before
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator("#save-as").click()
    page.locator("#save-all").click()  # the hidden one is loaded for it
    with page.expect_download(timeout=120_000) as download:
        page.locator("#save-sheet").click()
    more = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert more.width == picture.width
    assert more.height > 1.3 * picture.height
    assert state(page) == before
    clear = np.asarray(Image.open(io.BytesIO(saved(page, "save-sheet", ground="transparent"))).convert("RGBA"))
    assert clear[0, 0, 3] == 0
    assert page.errors == []


def test_an_svg_has_letters_and_lines_and_its_sections_are_the_voxels(page, site, path):
    visit(page, f"{site}#theme=light&hidden=0.truth,0.alpha&sections=maxima&axes=0")
    root = ET.fromstring(saved(page, "save-svg", width=120, dpi=254, ground="white", stage=False))  # noqa: S314
    assert float(root.attrib["width"].removesuffix("mm")) == pytest.approx(120, abs=0.2)
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"beta", "max over z", "max over x", "max over y", "y (m)"} <= set(words)
    facts = " ".join(words).replace("\N{NO-BREAK SPACE}", " ")
    assert "1.5 s \N{MIDDLE DOT} 6 iterations" in facts
    assert "\N{MIDDLE DOT} \N{MIDDLE DOT}" not in facts
    caption = " ".join(words[words.index("beta") :])
    assert "maxima" in caption and "floor \N{MINUS SIGN}40.0 dB" in caption and "threshold" not in caption
    images = [image.attrib for image in root.iter(f"{SVG}image")]
    assert len(images) == 3
    volume = np.abs(data.load_reconstructions(path)["beta"].image[0])
    db = np.maximum(20 * np.log10(volume.max(axis=2).T / volume.max()), -40)
    front = base64.b64decode(images[0]["href"].partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(front)).convert("RGB")).astype(float)
    rows = np.floor((np.arange(7) + 0.5) / 7 * shown.shape[0]).astype(int)
    columns = np.floor((np.arange(5) + 0.5) / 5 * shown.shape[1]).astype(int)
    expected = 255 * matplotlib.colormaps["inferno"](1 + db / 40)[..., :3]
    assert np.abs(shown[np.ix_(rows, columns)] - expected[::-1]).max() < 4  # y is up
    assert page.errors == []


def test_plots_are_saved_as_a_drawing(page, site):
    show(page, site, tab="history", theme="light")
    root = ET.fromstring(saved(page, "save-svg", width=180))  # noqa: S314
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"iteration", "alpha", "beta"} <= words
    assert words & {"residual by its bound", "rms residual (measurement's unit)"}  # the unit needs the measurement
    assert not list(root.iter(f"{SVG}image"))
    assert len(list(root.iter(f"{SVG}path"))) > 4  # curves and marks of the legend
    assert page.errors == []


def test_a_film_turns_the_images_once(page, site):
    visit(page, f"{site}#theme=light&hidden=0.alpha,0.beta&mode=maximum")
    before = state(page)
    film = Image.open(io.BytesIO(saved(page, "save-film", frames=4, fps=10, pixels=200)))
    assert (film.n_frames, film.info["duration"], film.info["loop"], film.width) == (4, 100, 0, 200)
    frames = []
    for n in range(4):
        film.seek(n)
        frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert all((a != b).any(axis=-1).mean() > 0.005 for a, b in pairwise(frames))
    # The palette is near: the first frame has the strongest colour of the map.
    strongest = 255 * np.array(matplotlib.colormaps["inferno"](1.0)[:3])
    assert np.abs(frames[0] - strongest).max(axis=-1).min() < 12
    assert state(page) == before
    page.locator("#save-as").click()
    page.locator("#save-frames").fill("360")
    page.locator("#save-film").click()
    page.locator("#close-save").click()  # stops it
    settled(page)
    page.wait_for_timeout(500)
    assert page.evaluate("mimoViewer.saveDialog.status.textContent.startsWith('Frame 360')") is False
    assert page.errors == []


def test_gif_codes_are_read_back_whatever_the_picture(page, site):
    """Few colours and many, more codes than a table holds."""
    visit(page, site)
    for size, colours in ((3, 2), (260, 256), (260, 5)):
        made = page.evaluate(
            """async ([size, colours]) => {
              const { GifFilm } = await import('./static/gif.js');
              const film = new GifFilm(size, size, 20);
              const pixels = new Uint8ClampedArray(4 * size * size).fill(255);
              let seed = 7;
              for (let n = 0; n < size * size; n += 1) { seed = (seed * 16807) % 2147483647; pixels[4 * n] = (seed % colours) * Math.floor(255 / (colours - 1)); }
              film.add(pixels);
              const bytes = new Uint8Array(await film.blob().arrayBuffer());
              return [Array.from(bytes), Array.from(pixels)];
            }""",
            [size, colours],
        )
        read = np.asarray(Image.open(io.BytesIO(bytes(made[0]))).convert("RGB")).astype(int)
        wanted = np.array(made[1]).reshape(size, size, 4)[..., :3]
        assert np.abs(read - wanted).max() <= (0 if colours < 256 else 1)


def test_the_command_draws_the_view(page, site, path, tmp_path):
    visit(page, f"{site}#scene=2&hidden=0.truth,0.beta&floor=-25&threshold=-7&colors=cividis&norm=common&scale=linear"
                "&cross=0.1,-0.2,0.75&azimuth=30&elevation=-10")  # fmt: skip
    page.locator("#save-as").click()
    page.locator("#save-width").fill("170")
    page.locator("#save-dpi").fill("100")
    told = page.locator(".command").text_content()
    words = shlex.split(told)
    assert words[:4] == ["mimo", "figure", "images.h5", "images.png"]
    options = dict(pairwise(words))
    assert (options["--scene"], options["--method"], options["--floor-db"], options["--level-db"]) == (
        "2",
        "alpha",
        "-25",
        "-7",
    )
    assert options["--cmap"] == "cividis"
    assert {"--no-truth", "--linear", "--common-scale", "--at=0.1,-0.2,0.75", "--look=30,-10"} <= set(words)
    out = tmp_path / "images.png"
    made = CliRunner().invoke(cli, ["figure", str(path), str(out), *words[4:]], catch_exceptions=False)
    assert made.exit_code == 0
    assert Image.open(io.BytesIO(out.read_bytes())).width == pytest.approx(170 / 25.4 * 100, abs=1)
    page.locator("#save-all").click()
    assert "--method" not in page.locator(".command").text_content()
    assert "--no-truth" not in page.locator(".command").text_content()
    page.locator("#close-save").click()
    show(page, site, tab="measurement", scene=1)
    page.locator("#save-as").click()
    assert page.locator(".command").text_content() == "mimo info images.h5 --figure images-overview.png --scene 1"
    page.locator("#close-save").click()


def test_the_dialog_is_used_by_keys_alone_and_says_what_is_missing(page, site):
    visit(page, site)
    page.keyboard.press("Shift+P")
    assert page.locator("#save-dialog").is_visible()
    controls = page.locator("#save-dialog").locator("button, input, select")
    for n in range(controls.count()):
        assert controls.nth(n).evaluate("e => Boolean(e.title || e.closest('label'))")
    page.locator("#save-none").focus()
    page.keyboard.press("Enter")
    page.locator("#save-sheet").focus()
    page.keyboard.press("Enter")
    assert page.locator("#save-dialog [role=status]").text_content() == "No image is chosen."
    page.locator("#save-all").click()
    for name in ("stage", "sections"):
        page.locator(f"#save-{name}").uncheck()
    page.locator("#save-svg").click()
    assert "Neither" in page.locator("#save-dialog [role=status]").text_content()
    page.keyboard.press("Escape")
    assert not page.locator("#save-dialog").is_visible()


def test_defaults_are_those_of_the_program_s_figures(page, site):
    """One source: the page, figures and the command line show one map, floor, level, and times in one form."""
    from mimo.commands.pictures import figure as command
    from mimo.display_defaults import COLOR_MAP, FLOOR_DB, SURFACE_DB, seconds_text

    visit(page, site)
    now = state(page)
    assert (now["colors"], now["floor"], now["threshold"]) == (COLOR_MAP, FLOOR_DB, SURFACE_DB)
    assert {p.name: p.default for p in command.params if p.name in ("cmap", "floor_db", "level_db")} == {
        "cmap": COLOR_MAP,
        "floor_db": FLOOR_DB,
        "level_db": SURFACE_DB,
    }
    told = page.locator(".panel .facts").nth(1).text_content()
    assert re.search(rf"(^| ){re.escape(seconds_text(1.5))}( |$)", told)
    assert GRID.shape == (5, 7, 11)


def test_a_notebook_s_frame_is_the_page(page, path, tmp_path):
    """In a frame of its own text, with another base address, and shut off from the notebook."""
    from mimo.viewer import show as show_in_notebook

    images = data.load_reconstructions(path)
    for name, shown in (("alone", show_in_notebook(images["alpha"])), ("whole", show_in_notebook(path))):
        notebook = tmp_path / f"{name}.html"
        notebook.write_text(f"<!doctype html><p>a cell</p>{shown._repr_html_()}")
        page.goto(notebook.as_uri())
        frame = page.frames[1]
        frame.wait_for_selector(".panel .stage")
        for _ in range(300):
            if frame.evaluate("Boolean(window.mimoViewer?.status?.ready) && mimoViewer.settled()"):
                break
            page.wait_for_timeout(100)
        assert frame.eval_on_selector_all(".panel h2", "all => all.map(e => e.textContent)")[-1] in ("alpha", "beta")
        frame.evaluate("mimoViewer.store.set({ threshold: -5, antennas: true, tab: 'measurement' })")
        page.wait_for_timeout(600)
        assert "threshold=-5" in frame.evaluate("location.href")
        told = frame.locator("#page-measurement").text_content()
        assert ("No measurement was given" in told) == (name == "alone")
        assert "antennas" not in frame.locator("#subtitle").text_content() or name == "whole"
    assert page.errors == []
    assert page.foreign == []
