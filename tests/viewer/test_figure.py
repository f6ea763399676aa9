"""Figures: what is drawn where, in metres and decibels, and the files they become."""

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from skimage.io import imread

from mimo import VoxelGrid
from mimo.data import Reconstruction
from mimo.models import save_weights
from mimo.recon import METHODS
from mimo.recon.metrics import psnr, ssim
from mimo.recon.registry import find_method
from mimo.viewer.contact_sheets import contact_sheet
from mimo.viewer.figures import Panel, figure, panels_from, save
from mimo.viewer.projections import maximum_projections, to_db, voxel_edges
from mimo.viewer.surface import surface_mesh

GRID = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.3, 0.3, 7), z=(0.5, 1.0, 11))


def random_volume(grid: VoxelGrid = GRID, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(grid.shape) ** 4


def ball(grid: VoxelGrid, center: tuple[float, float, float], radius: float) -> np.ndarray:
    """Magnitude that falls through -10 dB of its maximum at `radius` from `center`."""
    distance = np.linalg.norm(grid.centers() - center, axis=1).reshape(grid.shape)
    return 10 ** (-0.5 * (distance / radius) ** 2)


def axes_of(drawing: Figure, label: str):
    (found,) = [axes for axes in drawing.axes if axes.get_label() == label]
    return found


def mesh_of(axes) -> QuadMesh:
    (mesh,) = [item for item in axes.collections if isinstance(item, QuadMesh)]
    return mesh


def test_projections_are_maxima_along_the_named_axes() -> None:
    volume = random_volume() * np.exp(2j)
    views = maximum_projections(volume)
    for name, shape in (("front", (7, 5)), ("side", (7, 11)), ("top", (11, 5))):
        assert views[name].shape == shape
    for i, j, k in np.ndindex(GRID.shape):
        assert views["front"][j, i] == np.abs(volume[i, j, :]).max()
        assert views["side"][j, k] == np.abs(volume[:, j, k]).max()
        assert views["top"][k, i] == np.abs(volume[i, :, k]).max()
    with pytest.raises(ValueError, match=r"\(5, 7\)"):
        maximum_projections(volume[..., 0])


def test_to_db() -> None:
    values = np.array([[10.0, -1.0, 0.1], [1e-9, 0.0, 1j]])
    assert to_db(values) == pytest.approx(np.array([[0, -20, -40], [-40, -40, -20]]))
    assert to_db(values, reference=1.0, floor=-60) == pytest.approx(np.array([[20, 0, -20], [-60, -60, 0]]))
    assert (to_db(np.zeros((2, 3)), floor=-30) == -30).all()
    with pytest.raises(ValueError, match="1 NaN"):
        to_db(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="reference is -1"):
        to_db(values, reference=-1.0)


def test_voxel_edges_of_uneven_and_lone_voxels() -> None:
    edges = voxel_edges(VoxelGrid([0.0, 1.0, 3.0], [5.0], [0.0, 1.0]))
    assert edges["x"] == pytest.approx([-0.5, 0.5, 2.0, 4.0])
    assert edges["y"] == pytest.approx([5 - 0.625, 5 + 0.625])
    assert edges["z"] == pytest.approx([-0.5, 0.5, 1.5])


def test_a_bright_voxel_appears_at_its_place() -> None:
    volume = np.full(GRID.shape, 1e-3)
    volume[1, 5, 8] = 2.0
    drawing = figure([Panel("a", volume)], GRID)
    drawing.canvas.draw()
    pixels = np.asarray(drawing.canvas.buffer_rgba())
    where = {"x": GRID.x[1], "y": GRID.y[5], "z": GRID.z[8]}
    for name, across, up in (("front", "x", "y"), ("side", "z", "y"), ("top", "x", "z")):
        axes = axes_of(drawing, f"a: {name}")
        edges = voxel_edges(GRID)
        assert axes.get_xlim() == pytest.approx(edges[across][[0, -1]])
        assert axes.get_ylim() == pytest.approx(edges[up][[0, -1]])
        box = axes.get_window_extent()
        a, u = edges[across], edges[up]
        assert box.width / box.height == pytest.approx((a[-1] - a[0]) / (u[-1] - u[0]), rel=1e-6)
        column, row = axes.transData.transform((where[across], where[up]))
        inside = pixels[len(pixels) - 1 - int(row), int(column), :3]
        brightest = np.array(matplotlib.colormaps["inferno"](1.0)[:3]) * 255
        assert np.abs(inside - brightest).max() <= 1
        x0, y0, x1, y1 = (int(v) for v in (box.x0 + 2, box.y0 + 2, box.x1 - 2, box.y1 - 2))
        part = pixels[len(pixels) - y1 : len(pixels) - y0, x0:x1, :3].astype(int)
        share = (np.abs(part - brightest).max(axis=2) <= 1).mean()
        n = len(getattr(GRID, across)) * len(getattr(GRID, up))
        assert share == pytest.approx(1 / n, rel=0.35)  # whole pixels of a small picture


def test_panels_labels_and_colour_bar() -> None:
    panels = [
        Panel("truth", random_volume()),
        Panel("l1", 10 * random_volume(seed=1), "PSNR 20.0 dB"),
        Panel("c_$1", GRID.centers().reshape(*GRID.shape, 3)[..., 2]),
    ]
    drawing = figure(panels, GRID, floor_db=-35, title="A title")
    assert len(drawing.axes) == 3 * 4 + 2
    bar = axes_of(drawing, "colour bar")
    assert bar.get_xlim() == (-35, 0)
    assert "(dB)" in bar.get_xlabel()
    for name in ("front", "side", "top"):
        image = np.asarray(mesh_of(axes_of(drawing, f"l1: {name}")).get_array())
        expected = np.maximum(20 * np.log10(maximum_projections(panels[1].volume)[name] / panels[1].volume.max()), -35)
        assert image.reshape(expected.shape) == pytest.approx(expected)
    last = [axes_of(drawing, f"c_$1: {name}") for name in ("front", "side", "top")]
    assert [axes.get_xlabel() for axes in last] == ["x (m)", "z (m)", "x (m)"]
    assert last[0].get_ylabel() == "y (m)"
    assert last[2].get_ylabel() == "z (m)"
    surface = axes_of(drawing, "c_$1: surface")  # the last one alone has numbers and names
    assert [surface.get_xlabel(), surface.get_ylabel(), surface.get_zlabel()] == ["x (m)", "y (m)", "z (m)"]
    texts = [text.get_text() for text in drawing.texts]
    assert {
        "A title",
        "truth",
        "l1",
        "PSNR 20.0 dB",
        "c_$1",
        "front: max over z",
        "surface at \N{MINUS SIGN}10 dB",
    } <= set(texts)
    drawing.canvas.draw()


def test_all_on_one_scale_but_images_without_a_unit() -> None:
    """Back-projections are 10^4 to 10^8 times as large as reflectivity: by their maximum all others would be black."""
    shapes = {"truth": 1.0, "l1": 0.1, "kirchhoff": 1e8}
    panels = [Panel(n, scale * random_volume(), relative=n == "kirchhoff") for n, scale in shapes.items()]
    drawing = figure(panels, GRID, layout="columns", common_scale=True)
    peaks = [mesh_of(axes_of(drawing, f"{name}: front")).get_array().max() for name in shapes]
    assert peaks == pytest.approx([0, -20, 0], abs=1e-9)
    texts = [text.get_text() for text in drawing.texts]
    assert {"truth", "l1", "kirchhoff*", "* has no unit: relative to its own maximum"} <= set(texts)
    assert "relative to the largest maximum" in axes_of(drawing, "colour bar").get_xlabel()
    alone = figure(panels[2:], GRID, common_scale=True)
    assert "kirchhoff" in [text.get_text() for text in alone.texts]
    assert "own maximum" in axes_of(alone, "colour bar").get_xlabel()


def test_a_learned_image_is_not_lost_beside_l1(tmp_path) -> None:
    """A network answers in units of the brightest voxel: beside reflectivities of 1e4 it would lie at -80 dB."""
    images = {"l1": 1e4 * random_volume()[None] + 0j, "two-stage": random_volume(seed=1)[None].astype(np.float32)}
    made = [
        Reconstruction(name, image, GRID, {}, np.ones(1), scale=METHODS[name].scale) for name, image in images.items()
    ]
    silent = [replace(each, scale="") for each in made]  # as earlier versions wrote them
    unknown = [made[0], replace(made[1], method="my-network", scale="")]
    for reconstructions in (made, silent, unknown):
        panels = panels_from(None, reconstructions)
        assert [panel.relative for panel in panels] == [False, True]
        drawing = figure(panels, GRID, common_scale=True)
        peaks = [mesh_of(axes_of(drawing, f"{panel.title}: front")).get_array().max() for panel in panels]
        assert peaks == pytest.approx([0, 0], abs=1e-6)


def test_every_method_says_what_its_numbers_are() -> None:
    relative = {name for name, method in METHODS.items() if method.scale == "relative"}
    assert {"backprojection", "kirchhoff", "auto-physics", "deep2s", "two-stage"} <= relative
    assert not relative & {"tikhonov", "l1", "tv", "pnp"}
    assert {method.scale for method in METHODS.values()} == {"relative", "reflectivity"}


def test_a_file_of_weights_says_what_its_images_are(tmp_path) -> None:
    """By the network that it holds, whatever its name."""
    for kind, scale in (("unrolled", "reflectivity"), ("unet", "relative")):
        path = tmp_path / f"my-{kind}.safetensors"
        save_weights(path, {"a": torch.zeros(1)}, {"kind": "reconstructor", "method": {"kind": kind}})
        assert find_method(str(path)).scale == scale


def test_a_long_name_is_drawn_smaller_not_broken() -> None:
    panels = [Panel(name, random_volume()) for name in ("truth", "backprojection", "kirchhoff", "tikhonov", "l1")]
    drawing = figure(panels, GRID, layout="columns", width_mm=85)
    written = {text.get_text(): text.get_fontsize() for text in drawing.texts}
    assert 5 <= written["backprojection"] < 8 and written["kirchhoff"] <= 8 and written["l1"] == 8


def test_scales() -> None:
    panels = [Panel("a", random_volume()), Panel("b", 0.1 * random_volume())]
    tops = {}
    for common in (False, True):
        drawing = figure(panels, GRID, linear=True, common_scale=common)
        tops[common] = [float(mesh_of(axes_of(drawing, f"{n}: front")).get_array().max()) for n in "ab"]
        assert axes_of(drawing, "colour bar").get_xlim() == (0, 1)
    assert tops[False] == pytest.approx([1, 1])
    assert tops[True] == pytest.approx([1, 0.1])
    drawing = figure(panels, GRID, common_scale=True)  # b lies 20 dB down: no surface at -10 dB
    bodies = [any(isinstance(c, Poly3DCollection) for c in axes_of(drawing, f"{n}: surface").collections) for n in "ab"]
    assert bodies == [True, False]


PAGES = [
    (1, "rows", None),
    (5, "rows", None),
    (2, "rows", 160),
    (1, "columns", None),
    (7, "columns", None),
    (4, "columns", 85),
    (8, "columns", 85),
    (8, "columns", 180),
    (8, "rows", 180),
    (8, "rows", None),
    (12, "columns", 140),
    (3, "auto", 89),
    (12, "auto", 89),
    (12, "auto", 183),
    (40, "auto", 183),
]
CUBE = VoxelGrid.from_extent(x=(-0.15, 0.15, 13), y=(-0.15, 0.15, 14), z=(0.35, 0.65, 15))
OTHER_GRIDS = {
    "plane": VoxelGrid.from_extent(x=(0.1, 0.1, 1), y=(-0.1, 0.1, 7), z=(0.3, 0.8, 11)),
    "ground": VoxelGrid.from_extent(x=(-50, 50, 40), y=(-30, 30, 30), z=(0, 0, 1)),
    "long": VoxelGrid.from_extent(x=(-0.1, 0.1, 6), y=(-0.1, 0.1, 7), z=(1000.0, 1003.0, 20)),
    "line": VoxelGrid.from_extent(x=(0, 0, 1), y=(0, 0, 1), z=(1, 3, 20)),
}
FULLEST = [(2, "rows", 160), (8, "rows", 180), (8, "columns", 85), (12, "auto", 89)]
"""Pages with the least room for each label: what fits on them fits on those with fewer panels or more width."""


@pytest.mark.parametrize(
    ("grid", "page"),
    [
        *[pytest.param(CUBE, page, id="cube-{}-{}-{}".format(*page)) for page in PAGES],
        *[pytest.param(g, p, id="{}-{}-{}-{}".format(name, *p)) for name, g in OTHER_GRIDS.items() for p in FULLEST],
    ],
)
def test_no_label_meets_another(grid: VoxelGrid, page: tuple[int, str, float | None]) -> None:
    n_panel, layout, width = page
    panels = [Panel(f"method {i}", random_volume(grid, i), "PSNR 20.12 dB, SSIM 0.912, 12.3 s") for i in range(n_panel)]
    panels[-1] = replace(panels[-1], title="kirchhoff")
    drawing = figure(panels, grid, title="Title", layout=layout, width_mm=width)
    assert drawing.get_size_inches()[1] * 25.4 <= 240  # a page of a journal
    drawing.canvas.draw()
    paper, boxes = drawing.bbox, []
    for axes in drawing.axes:
        flat = axes.name != "3d"
        axis_labels = [axis.label for axis in axes._axis_map.values()]
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axis_labels] if flat else axis_labels
        boxes += [(t.get_text(), t.get_window_extent()) for t in labels if t.get_text()]
        if flat:
            boxes.append((axes.get_label(), axes.get_window_extent()))
    boxes += [(t.get_text(), t.get_window_extent()) for t in drawing.texts]
    for i, (name, box) in enumerate(boxes):
        assert box.x0 >= paper.x0, name
        assert box.x1 <= paper.x1, name
        assert box.y0 >= paper.y0, name
        assert box.y1 <= paper.y1, name
        for other_name, other in boxes[:i]:
            apart = box.x0 >= other.x1 or other.x0 >= box.x1 or box.y0 >= other.y1 or other.y0 >= box.y1
            assert apart, f"{name!r} meets {other_name!r}"


def test_one_voxel_along_an_axis_shows_the_one_projection() -> None:
    grid = VoxelGrid.from_extent(x=(-50, 50, 9), y=(0, 0, 1), z=(10, 70, 8))
    volume = random_volume(grid)
    drawing = figure([Panel("a", volume), Panel("b", volume)], grid)
    assert [axes.get_label() for axes in drawing.axes] == ["a: top", "b: top", "colour bar"]
    image = np.asarray(mesh_of(axes_of(drawing, "a: top")).get_array()).reshape(8, 9)
    assert image == pytest.approx(to_db(volume[:, 0, :].T))
    line = VoxelGrid.from_extent(x=(0, 0, 1), y=(0, 0, 1), z=(1, 3, 20))
    (axes,) = figure([Panel("a", random_volume(line))], line).axes
    assert axes.get_xlabel() == "z (m)"
    assert axes.lines[0].get_ydata() == pytest.approx(to_db(random_volume(line).ravel()))


def test_an_all_zero_volume_is_drawn_at_the_floor_and_named() -> None:
    drawing = figure([Panel("empty", np.zeros(GRID.shape))], GRID)
    assert (mesh_of(axes_of(drawing, "empty: top")).get_array() == -40).all()
    assert "all zero" in [text.get_text() for text in drawing.texts]
    drawing.canvas.draw()


def test_bad_input_is_named() -> None:
    volume = random_volume()
    with pytest.raises(ValueError, match="panels is empty"):
        figure([], GRID)
    with pytest.raises(ValueError, match=r"panel 'pnp' has shape \(7, 5, 11\), grid has shape \(5, 7, 11\)"):
        figure([Panel("pnp", volume.transpose(1, 0, 2))], GRID)
    volume[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="panel 'pnp' has 1 NaN or infinite of 385 voxels"):
        figure([Panel("pnp", volume)], GRID)
    with pytest.raises(ValueError, match="floor_db is 3"):
        figure([Panel("pnp", random_volume())], GRID, floor_db=3)
    with pytest.raises(ValueError, match="surface_level_db is 0"):
        figure([Panel("pnp", random_volume())], GRID, surface_level_db=0)
    with pytest.raises(ValueError, match="layout is 'grid': expected one of auto, rows, columns, tiles"):
        figure([Panel("pnp", random_volume())], GRID, layout="grid")
    with pytest.raises(ValueError, match="unknown colour map 'infern': did you mean 'inferno'"):
        figure([Panel("pnp", random_volume())], GRID, cmap="infern")
    with pytest.raises(ValueError, match="width_mm is 5"):
        figure([Panel("pnp", random_volume())], GRID, width_mm=5)
    with pytest.raises(ValueError, match="width_mm is 85: expected 160 mm or more, or the layout columns"):
        figure([Panel("pnp", random_volume())], GRID, width_mm=85, layout="rows")
    with pytest.raises(ValueError, match="30 images do not fit on a page of 180 x 240 mm in the layout rows"):
        figure([Panel("pnp", random_volume())] * 30, GRID, layout="rows")


def test_panels_from_truth_and_reconstructions() -> None:
    truth = np.stack([random_volume(seed=s) * 1j for s in (1, 2)])
    made = SimpleNamespace(method="l1", magnitude=np.abs(truth) + 0.1, seconds=np.array([1.0, 2.345]), scale="")
    empty = SimpleNamespace(method="pnp", magnitude=0 * np.abs(truth), seconds=np.zeros(2), scale="")  # still running
    first, second, third = panels_from(truth, [made, empty], scene=1)
    assert (first.title, first.caption) == ("truth", "")
    assert first.volume == pytest.approx(np.abs(truth[1]))
    image = made.magnitude[1]
    assert second.caption == f"PSNR {psnr(image, truth[1]):.1f} dB, SSIM {ssim(image, truth[1]):.3f}, 2.35 s"
    assert third.caption == ""
    (alone,) = panels_from(None, [made])
    assert alone.caption == "1 s"
    with pytest.raises(ValueError, match="with scene 2 in it"):
        panels_from(truth, [made], scene=2)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_files(tmp_path, suffix: str) -> None:
    drawing = figure([Panel("a", random_volume())], GRID)
    inches = drawing.get_size_inches()
    path = tmp_path / f"picture{suffix}"
    save(drawing, path)
    first = path.read_bytes()
    save(drawing, path)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if suffix.lower() == ".png":
        image = imread(io.BytesIO(first))
        assert image.shape[:2] == pytest.approx(inches[::-1] * 200, abs=1)
        assert image.std() > 10
    elif suffix == ".svg":
        assert float(ET.fromstring(first).attrib["width"].removesuffix("pt")) == pytest.approx(inches[0] * 72)  # noqa: S314
    else:
        assert first.startswith(b"%PDF")


@pytest.mark.parametrize(("layout", "width"), [("rows", 160), ("rows", 180), ("columns", 85), ("columns", 140)])
def test_a_page_has_its_width_in_millimetres_and_its_text_in_points(tmp_path, layout: str, width: float) -> None:
    drawing = figure([Panel("a", random_volume(), "1 s")], GRID, width_mm=width, layout=layout)
    assert drawing.get_size_inches()[0] * 25.4 == pytest.approx(width)
    flat = [axes for axes in drawing.axes if axes.name != "3d"]
    sizes = {label.get_size() for axes in flat for label in (axes.xaxis.label, axes.yaxis.label)}
    assert sizes | {text.get_size() for text in drawing.texts} == {7.0, 8.0}
    save(drawing, tmp_path / "a.png", dpi=100)
    assert imread(tmp_path / "a.png").shape[1] == pytest.approx(width / 25.4 * 100, abs=1)
    save(drawing, tmp_path / "a.svg")
    root = ET.fromstring((tmp_path / "a.svg").read_bytes())  # noqa: S314
    assert float(root.attrib["width"].removesuffix("pt")) / 72 * 25.4 == pytest.approx(width)


def test_columns_show_the_surface_the_front_and_the_side_of_each_panel() -> None:
    panels = [Panel(f"m{i}", random_volume(seed=i), "PSNR 20.1 dB, 3 s") for i in range(9)]
    drawing = figure(panels, GRID, layout="columns", width_mm=120, common_scale=True)
    for i in range(9):
        surface, front, side = (axes_of(drawing, f"m{i}: {name}") for name in ("surface", "front", "side"))
        tops = [axes.get_position().y1 for axes in (surface, front, side)]
        assert tops == sorted(tops, reverse=True)
        edges = [axes.get_position().x0 for axes in (front, side)]
        assert edges == pytest.approx([surface.get_position(original=True).x0] * 2)
        expected = maximum_projections(panels[i].volume)["side"]
        image = np.asarray(mesh_of(side).get_array()).reshape(expected.shape)
        assert image == pytest.approx(to_db(expected, max(panel.volume.max() for panel in panels)))
    lefts = [axes_of(drawing, f"m{i}: front").get_position().x0 for i in range(9)]
    assert len(set(np.round(lefts, 6))) < 9  # several bands: they do not fit side by side
    assert len({round(axes_of(drawing, f"m{i}: front").get_position().width, 6) for i in range(9)}) == 1


def test_unknown_suffix_lists_the_known_ones(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"'\.bmp': expected one of \.png, \.svg, \.pdf"):
        save(figure([Panel("a", random_volume())], GRID), tmp_path / "a.bmp")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", [1, 2])
def test_surface_of_a_ball(step: int) -> None:
    z = 1.0 + np.linspace(0, 1, 44) ** 1.3
    grid = VoxelGrid(np.linspace(-0.5, 0.5, 40), np.linspace(-0.6, 0.6, 42), z)
    center, radius = (0.1, -0.15, 1.45), 0.25
    vertices, faces = surface_mesh(3 * ball(grid, center, radius), grid, step=step)
    distance = np.linalg.norm(vertices - center, axis=1)
    assert distance == pytest.approx(radius, rel=0.02 * step**2)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    inside = np.einsum("ij,ij->", a - center, np.cross(b - center, c - center)) / 6  # positive: normals point out
    assert inside == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03 * step**2)


def test_surfaces_close_at_the_border_and_on_thin_grids() -> None:
    for grid in (GRID, VoxelGrid.from_extent(x=(0, 1, 6), y=(0, 0, 1), z=(2, 3, 9))):
        vertices, faces = surface_mesh(np.ones(grid.shape), grid)
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # watertight
        for i, edge in enumerate(voxel_edges(grid).values()):
            assert edge[0] <= vertices[:, i].min() < vertices[:, i].max() <= edge[-1]
    vertices, faces = surface_mesh(np.zeros(GRID.shape), GRID)
    assert vertices.shape == faces.shape == (0, 3)
    assert not len(surface_mesh(random_volume(), GRID, reference=100.0)[1])
    with pytest.raises(ValueError, match=r"volume has shape \(2, 2, 2\)"):
        surface_mesh(np.ones((2, 2, 2)), GRID)
    with pytest.raises(ValueError, match="level_db is 0"):
        surface_mesh(np.ones(GRID.shape), GRID, 0.0)


def test_the_box_of_the_surface_has_the_grid_s_proportions() -> None:
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.2, 0.2, 9), z=(0.5, 1.0, 9))
    drawing = figure([Panel("a", random_volume(grid))], grid)
    drawing.canvas.draw()
    axes = axes_of(drawing, "a: surface")
    axes.set_proj_type("ortho")
    across, up = axes.get_proj()[:2, :3]
    e, a = np.radians((axes.elev, axes.azim))
    towards_reader = np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    scale = np.hypot(across, up) / np.sqrt(1 - towards_reader**2)  # page per metre, were the axis parallel to the page
    assert scale == pytest.approx([scale[0]] * 3, rel=1e-6)
    assert across[0] > 0  # x to the right, y up, z towards the reader: not mirrored against the front projection
    assert up[1] > 0
    assert towards_reader[2] > 0


def test_contact_sheet(tmp_path) -> None:
    volumes = [ball(GRID, (0, 0.1 * i, 0.7), 0.15) for i in range(5)]
    sheet = contact_sheet(volumes, GRID, [f"t{i}" for i in range(5)], columns=3)
    assert len(sheet.axes) == 5
    assert [axes.get_label() for axes in sheet.axes] == [f"t{i}" for i in range(5)]
    save(sheet, tmp_path / "sheet.png")
    flat = VoxelGrid.from_extent(x=(0, 1, 5), y=(0, 1, 7), z=(0, 0, 1))
    sheet = contact_sheet(np.ones((2, *flat.shape)), flat)
    assert np.asarray(mesh_of(sheet.axes[0]).get_array()).size == 35
    with pytest.raises(ValueError, match="titles has 1 entries, volumes has 5"):
        contact_sheet(volumes, GRID, ["one"])
    with pytest.raises(ValueError, match=r"volumes\[0\] has shape"):
        contact_sheet(volumes, flat)
    with pytest.raises(ValueError, match="volumes is empty"):
        contact_sheet([], GRID)


def test_several_panels_have_letters_and_one_scale_bar_and_a_key_of_depths() -> None:
    panels = [Panel("truth", random_volume(), truth=True), *[Panel(f"m{i}", random_volume(seed=i)) for i in range(27)]]
    drawing = figure(panels, GRID, layout="tiles")
    letters = [text.get_text() for text in drawing.texts if text.get_text().startswith("(")]
    assert (letters[0], letters[25], letters[26], len(letters)) == ("(a)", "(z)", "(aa)", 28)
    bars = [text.get_text() for axes in drawing.axes for text in axes.texts]
    assert bars == ["20 cm"]  # of 0.5 m across
    alone = figure(panels[:1], GRID)
    assert not [text for text in alone.texts if text.get_text() == "(a)"]
    key = axes_of(alone, "depths")
    assert key.get_xlim() == pytest.approx(tuple(voxel_edges(GRID)["z"][[0, -1]]))
    assert key.get_xlabel() == "z of the surface (m)"
    assert not [axes for axes in drawing.axes if axes.get_label() == "depths"]  # no surface, no key


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    grid = VoxelGrid.from_extent(x=(-50, 50, 11), y=(-30, 30, 7), z=(0, 0, 1))
    axes = axes_of(figure([Panel("a", random_volume(grid))], grid), "a: front")
    (text,) = [text.get_text() for text in axes.texts]
    (line,) = axes.lines
    number, unit = text.split()
    assert np.ptp(line.get_xdata()) * {"cm": 1e2, "m": 1}[unit] == pytest.approx(float(number))
    assert (number, unit) == ("20", "m")


def test_the_truth_is_outlined_on_reconstructions_alone() -> None:
    from matplotlib.contour import ContourSet

    z = np.linspace(0.5, 1.0, 21)
    grid = VoxelGrid(np.linspace(-0.2, 0.2, 25), np.linspace(-0.3, 0.3, 31), z)
    center, radius = (0.02, -0.05, 0.75), 0.12
    panels = [Panel("truth", ball(grid, center, radius), truth=True), Panel("l1", random_volume(grid))]
    drawing = figure(panels, grid)
    outlines = {axes.get_label(): [c for c in axes.collections if isinstance(c, ContourSet)] for axes in drawing.axes}
    assert {name for name, found in outlines.items() if found} == {"l1: front", "l1: side", "l1: top"}
    (line,) = outlines["l1: side"][0].get_paths()
    distance = np.hypot(line.vertices[:, 0] - center[2], line.vertices[:, 1] - center[1])
    assert distance == pytest.approx(radius, rel=0.05)
    assert "outline: truth at \N{MINUS SIGN}10 dB" in [text.get_text() for text in drawing.texts]
    noise = figure([Panel("truth", random_volume(grid) ** 0.1, truth=True), *panels[1:]], grid)  # has no outline
    for other in (figure(panels, grid, outline=False), figure(panels[1:], grid), noise):
        assert not [c for axes in other.axes for c in axes.collections if isinstance(c, ContourSet)]
        assert not [text for text in other.texts if "outline" in text.get_text()]


def test_many_methods_have_pictures_that_can_be_read() -> None:
    """Ten rows of pictures 12 mm wide with one tick each are not what a journal takes."""
    for n, width, least in ((10, 183, 20), (12, 183, 20), (12, 89, 20), (3, 89, 20)):
        drawing = figure([Panel(f"m{i}", random_volume(CUBE, i)) for i in range(n)], CUBE, width_mm=width)
        size = 25.4 * drawing.get_size_inches()
        flat = [axes for axes in drawing.axes if axes.name != "3d" and ": " in axes.get_label()]
        assert len(flat) >= n
        for axes in flat:
            assert axes.get_position().width * size[0] >= least, (n, width)
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                written = [label.get_text() for label in labels if label.get_text()]
                assert len(written) != 1, axes.get_label()


def test_slices_go_through_the_voxel_nearest_to_a_point() -> None:
    volume = random_volume()
    drawing = figure([Panel("a", volume)], GRID, at=(0.08, -0.29, 0.71))
    i, j, k = 3, 0, 4
    for name, expected in (("front", volume[:, :, k].T), ("side", volume[i]), ("top", volume[:, j].T)):
        image = np.asarray(mesh_of(axes_of(drawing, f"a: {name}")).get_array()).reshape(expected.shape)
        assert image == pytest.approx(to_db(expected, volume.max()))
    assert {"front: z 0.7 m", "side: x 0.1 m", "top: y \N{MINUS SIGN}0.3 m"} <= {t.get_text() for t in drawing.texts}
    turned = axes_of(figure([Panel("a", volume)], GRID, look=(-40, 25)), "a: surface")
    assert (turned.azim, turned.elev) == (-40, 25)


def test_no_word_is_broken_inside() -> None:
    names = [
        "backprojection-factorised",
        "an-uncommonly-long-name-of-a-network-in-a-file",
        "unbrokenwordofthirtyletters",
    ]
    for layout in ("columns", "tiles"):
        drawing = figure([Panel(n, random_volume(), "PSNR 20.1 dB, explains 46 %") for n in names], GRID, layout=layout,
                         width_mm=75)  # fmt: skip
        drawing.canvas.draw()
        words = {part for name in names for part in name.replace("-", "- ").split()} | {"PSNR", "20.1", "dB,"}
        words |= {"explains", "46", "%"}
        for text in drawing.texts:
            parts = text.get_text().replace("-", "- ").replace("\N{NO-BREAK SPACE}", " ").split()
            if text.get_weight() == "bold" and not text.get_text().startswith("("):
                assert set(parts) <= words or "\N{HORIZONTAL ELLIPSIS}" in text.get_text(), text.get_text()
                assert text.get_window_extent().x1 <= drawing.bbox.x1


def test_surfaces_stand_out_from_the_paper() -> None:
    """The contrast of every depth's colour to the walls of the box is 4.5 or more, as of text."""
    from mimo.viewer.surface import DEPTH_COLORS

    def luminance(color):
        c = np.asarray(color)[..., :3]
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    colors = luminance(DEPTH_COLORS(np.linspace(0, 1, 101)))
    wall = figure([Panel("a", random_volume())], GRID)
    pane = axes_of(wall, "a: surface").xaxis.pane.get_facecolor()
    assert ((luminance(pane) + 0.05) / (colors + 0.05) >= 4.5).all()
    assert (np.diff(colors) > 0).all()  # brighter where z is larger, for those who see no hues too
