"""The page with files that are damaged, empty or thin, that change under it, and in a browser that cannot draw volumes."""

import numpy as np
import pytest
from chromium import SIZE, pixels, ready, settled, show, state, texts, visit, wait_until, watched_page
from served import served
from viewer_samples import GRID, make_file, spoil, truncate

from mimo import VoxelGrid, data


def test_nan_is_told_in_its_panel_and_the_others_stand(page, tmp_path):
    path = spoil(make_file(tmp_path / "a.h5"), "reconstruction/alpha/reflectivity", (0, 1, 2, 3), np.nan)
    with served(path) as site:
        visit(page, site)
        assert "is nan at index (0, 1, 2, 3)" in texts(page, ".panel .problem")[0]
        assert len(texts(page, ".panel .problem")) == 1
        assert pixels(page, ".panel:nth-child(3) .stage")[..., 3].any()
        page.keyboard.press("PageDown")
        wait_until(page, "mimoViewer.panels[1].volume !== null")


def test_an_empty_volume_and_one_voxel_thick(page, tmp_path):
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(0.1, 0.1, 1), z=(0.5, 1.0, 11))
    zeros = np.zeros((1, *grid.shape), np.float32)
    rising = np.broadcast_to(np.linspace(0.1, 1, 11, dtype=np.float32), zeros.shape)
    images = {"none": zeros, "thin": rising, **{f"very-{n}": rising for n in range(4)}, "kirchhoff": 1e8 * rising}
    path = make_file(tmp_path / "a.h5", grid=grid, n_scene=1, images=images)
    with served(path) as site:
        for mode in ("volume", "maximum", "surface"):
            show(page, site, mode=mode, sheets=1, axes=0, box=0, cross="9,9,9", threshold=-10)
            assert texts(page, ".panel h2")[1:4] == ["kirchhoff", "none", "thin"]
            assert len(texts(page, ".panel h2")) == len(images) + 1  # all of them at first
            assert "all zero" in texts(page, ".panel .facts")[2]
            assert texts(page, ".panel .value")[2] == "outside"
            assert pixels(page, ".panel:nth-child(4) .stage")[..., 3].any()
            assert pixels(page, ".panel:nth-child(3) .stage")[..., 3].any() == (mode == "maximum")
        show(page, site, norm="common")  # an image without a unit does not make the others black
        gains = page.evaluate("mimoViewer.panels.map(p => mimoViewer.gainOf(p))")
        assert 0.1 < gains[0] < 1
        assert gains[1:4] == [1, 0, 1]
        assert "its own maximum" in texts(page, ".panel .facts")[1]
        page.get_by_label("thin", exact=True).uncheck()
        assert "7 of 8 shown" in texts(page, "#controls .hint")[0]


@pytest.mark.parametrize("damage", ["truncated", "no HDF5", "empty", "no image"])
def test_a_damaged_file_is_a_message_on_the_page(page, tmp_path, damage):
    path, good = make_file(tmp_path / "cut.h5"), make_file(tmp_path / "good.h5")
    if damage == "truncated":
        truncate(path)
    elif damage == "no image":
        whole = data.load(path)
        data.save(path, data.Measurement(whole.values, whole.array, whole.sweep))
    else:
        path.write_bytes(b"text, no data" if damage == "no HDF5" else b"")
    with served(path) as site:
        page.goto(site)
        ready(page)
        assert "cut.h5" in page.locator("#notice").text_content()
        assert page.locator("#notice").is_visible()
    with served(path, good) as site:
        visit(page, site)
        assert "cut.h5" in page.locator("#notice").text_content()
        assert len(texts(page, ".panel h2")) == 3


def test_without_webgl_the_static_figure_stands_in(chromium, tmp_path):
    context = chromium.new_context(viewport=SIZE)
    context.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) { return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    page = watched_page(context)
    try:
        with served(make_file(tmp_path / "a.h5")) as site:
            visit(page, site)
            assert "no WebGL2" in page.locator("#notice").text_content()
            wait_until(page, "document.querySelector('.figure')?.naturalWidth > 300", 60)
            assert pixels(page, ".sections")[..., 3].any()
            page.evaluate("mimoViewer.store.set({ colors: 'gray' })")
            wait_until(page, "document.querySelector('.figure').src.endsWith('colors=gray')", 60)
            assert page.errors == []
    finally:
        context.close()


def test_watching_a_file_that_is_written(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    aside = path.with_name("aside.h5")
    with served(path, watch=True) as site:
        visit(page, site + "#mode=surface&azimuth=12&cross=0.1,0.1,0.7")
        before, loads = state(page), page.evaluate("mimoViewer.status.loads")
        path.rename(aside)
        wait_until(page, "!document.getElementById('notice').hidden")
        page.keyboard.press("PageDown")  # no image under the number of another scene
        wait_until(page, "mimoViewer.panels.every(p => !p.volume && p.problem.includes('Scene 1'))")
        page.keyboard.press("PageUp")
        aside.rename(path)  # back as it was
        wait_until(page, "document.getElementById('notice').hidden && mimoViewer.panels.every(p => p.volume)")
        settled(page)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])  # in the middle of a rewrite
        wait_until(page, "!document.getElementById('notice').hidden")
        assert "last whole version is shown" in page.locator("#notice").text_content()
        assert page.evaluate("mimoViewer.panels.every(p => p.volume)")
        path.unlink()
        images = {"alpha": np.full((3, *GRID.shape), 7, np.float32), "gamma": np.ones((3, *GRID.shape), np.float32)}
        make_file(path, images=images)
        wait_until(page, f"mimoViewer.status.loads > {loads} && mimoViewer.panels[1].header.peak === 7")
        settled(page)
        assert texts(page, ".panel h2") == ["truth", "alpha", "gamma"]
        assert page.locator("#notice").is_hidden()
        assert state(page) == before


def test_an_update_keeps_focus_drag_and_captions(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    with served(path, watch=True) as site:
        visit(page, site)
        page.evaluate(
            """() => {
              window.captions = new Set();
              const caption = document.querySelectorAll('.panel .facts')[1];
              new MutationObserver(() => captions.add(caption.textContent)).observe(caption, {childList: true, subtree: true});
            }"""
        )
        box = page.locator("#threshold").bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
        page.mouse.down()
        for n, keep in enumerate(("#threshold", ".panel:nth-child(2) .stage"), 3):
            if n == 4:
                page.mouse.up()
                page.locator(keep).focus()
            make_file(
                path,
                seed=n,
                images={"alpha": np.full((3, *GRID.shape), n, np.float32), "new": np.ones((3, *GRID.shape))},
            )
            wait_until(page, f"mimoViewer.panels[1].header.peak === {n}")
            settled(page)
            assert page.evaluate("keep => document.activeElement === document.querySelector(keep)", keep)
            if n == 3:
                page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
                assert state(page)["threshold"] == pytest.approx(-12, abs=2)
        assert texts(page, ".panel h2") == texts(page, ".panel-list label") == ["truth", "alpha", "new"]
        assert page.evaluate("[...captions].every(text => text.includes('PSNR'))")
        assert page.evaluate("captions.size") > 0
        page.locator("#tab-measurement").click()
        wait_until(page, "document.querySelectorAll('#page-measurement .plot').length === 2")
        page.locator("#page-measurement .plot").first.focus()
        make_file(path, seed=9)
        wait_until(page, "mimoViewer.panels[2].title === 'beta' && mimoViewer.settled()")
        assert page.evaluate("document.activeElement.classList.contains('plot')")


def test_a_damaged_file_is_left_out_of_the_saved_page(page, tmp_path):
    with served(make_file(tmp_path / "a.h5"), make_file(tmp_path / "скан.h5")) as site:
        visit(page, site)
        (tmp_path / "a.h5").unlink()
        with page.expect_download():
            page.locator("#save-html").click()
        wait_until(page, "document.getElementById('notice').textContent.includes('Saved without')")
        assert "a.h5: no such file" in page.locator("#notice").text_content()


def test_a_file_rewritten_unseen_is_loaded_anew(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    with served(path) as site:
        visit(page, site)
        make_file(path, images={"alpha": np.full((3, *GRID.shape), 7, np.float32)})
        page.keyboard.press("PageDown")
        wait_until(page, "mimoViewer.panels.length === 2 && mimoViewer.panels[1].header?.peak === 7")
        assert state(page)["scene"] == 1


def test_two_files_of_different_grids(page, tmp_path):
    other = VoxelGrid.from_extent(x=(0.1, 0.5, 4), y=(-0.1, 0.1, 3), z=(0.4, 0.6, 6))
    with served(make_file(tmp_path / "a.h5"), make_file(tmp_path / "b.h5", grid=other, n_scene=1)) as site:
        visit(page, site + "#cross=-0.15,0,0.9")
        assert texts(page, ".panel h2")[4] == "alpha · b.h5"
        assert texts(page, ".panel .value")[4] == "outside"
        lines = page.locator("#subtitle").text_content().split("\n")
        assert [line.split(":")[0] for line in lines[1:]] == ["a.h5", "b.h5"]
        sizes = [line.rpartition("·")[2].replace("\N{MULTIPLICATION SIGN}", "by").strip() for line in lines[1:]]
        assert sizes == ["5 by 7 by 11 voxels of 0.1 by 0.1 by 0.05 m", "4 by 3 by 6 voxels of 0.133 by 0.1 by 0.04 m"]
        page.keyboard.press("PageDown")
        wait_until(page, "mimoViewer.panels[4].volume === null && mimoViewer.settled()")
        assert "no scene 1" in texts(page, ".panel .problem")[0]
