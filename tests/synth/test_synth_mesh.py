"""Voxelised meshes: volumes, surfaces, anisotropic grids, messages."""

import sys

import numpy as np
import pytest

from mimo import VoxelGrid
from mimo.synth import from_mesh

trimesh = pytest.importorskip("trimesh")

GRID = VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.13, 0.13, 21), z=(0.35, 0.65, 49))
CELL = np.prod(GRID.spacing)


@pytest.fixture
def sphere(tmp_path):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.09)
    mesh.apply_translation([0.01, -0.02, 0.5])
    mesh.export(tmp_path / "sphere.ply")
    return tmp_path / "sphere.ply"


@pytest.fixture
def box(tmp_path):
    mesh = trimesh.creation.box(extents=(0.1, 0.08, 0.14))
    mesh.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3]))
    mesh.export(tmp_path / "box.stl")
    return tmp_path / "box.stl"


def test_volume_of_a_sphere(sphere):
    volume = from_mesh(sphere, GRID)
    assert volume.shape == GRID.shape
    assert volume.dtype == np.float32
    assert volume.min() == 0
    assert volume.max() == 1
    assert volume.sum() * CELL == pytest.approx(4 / 3 * np.pi * 0.09**3, rel=0.01)
    center = (np.indices(GRID.shape).reshape(3, -1) * volume.ravel()).sum(axis=1) / volume.sum()
    expected = [
        np.interp(p, axis, np.arange(len(axis)))
        for p, axis in zip((0.01, -0.02, 0.5), (GRID.x, GRID.y, GRID.z), strict=True)
    ]
    assert center == pytest.approx(expected, abs=0.05)


def test_volume_of_a_tilted_box_on_an_uneven_grid(box):
    z = 0.35 + 0.3 * np.linspace(0, 1, 31) ** 1.5
    grid = VoxelGrid(np.linspace(-0.12, 0.12, 33), np.linspace(-0.12, 0.12, 15), z)
    volume = from_mesh(box, grid, offset=(0, 0, 0.5))
    edges = np.concatenate([[z[0]], (z[1:] + z[:-1]) / 2, [z[-1]]])
    cell = grid.spacing[0] * grid.spacing[1] * np.diff(edges)
    assert (volume * cell).sum() == pytest.approx(0.1 * 0.08 * 0.14, rel=0.01)
    assert ((volume > 0) & (volume < 1)).sum() > 100


def test_aligned_box_whose_faces_lie_on_voxel_borders(tmp_path):
    trimesh.creation.box(extents=(0.125, 0.065, 0.125)).export(tmp_path / "aligned.stl")
    volume = from_mesh(tmp_path / "aligned.stl", GRID, offset=(0, 0, 0.5))
    assert volume.sum() * CELL == pytest.approx(0.125 * 0.065 * 0.125, rel=0.01)


def test_scale_and_offset(tmp_path, sphere):
    mesh = trimesh.load(sphere)
    mesh.apply_translation([0, 0, -0.5])
    mesh.apply_scale(1000)
    mesh.export(tmp_path / "millimetres.stl")
    scaled = from_mesh(tmp_path / "millimetres.stl", GRID, scale=1e-3, offset=(0, 0, 0.5))
    assert np.abs(scaled - from_mesh(sphere, GRID)).max() < 0.02


def test_bodies_that_overlap_and_normals_that_point_inwards(tmp_path):
    one, two = trimesh.creation.box(extents=(0.1, 0.1, 0.1)), trimesh.creation.box(extents=(0.1, 0.06, 0.06))
    two.apply_translation([0.05, 0, 0])
    both = trimesh.util.concatenate([one, two])
    both.export(tmp_path / "both.stl")
    volume = from_mesh(tmp_path / "both.stl", GRID, offset=(0, 0, 0.5))
    assert volume.sum() * CELL == pytest.approx(0.1**3 + 0.05 * 0.06**2, rel=0.01)
    both.invert()
    both.export(tmp_path / "inverted.ply")
    assert np.array_equal(from_mesh(tmp_path / "inverted.ply", GRID, offset=(0, 0, 0.5)), volume)


def test_surface_is_a_hollow_skin(sphere):
    solid, surface = from_mesh(sphere, GRID), from_mesh(sphere, GRID, fill="surface")
    center = GRID.nearest([(0.01, -0.02, 0.5)])[0]
    assert solid[tuple(center)] == 1
    assert surface[tuple(center)] == 0
    from_center = np.linalg.norm(GRID.centers() - (0.01, -0.02, 0.5), axis=1).reshape(GRID.shape)
    assert (surface[np.abs(from_center - 0.09) > 0.013] == 0).all()
    assert (surface[np.abs(from_center - 0.09) < 0.002] > 0.5).all()
    assert surface.max() == 1
    # tent of one voxel on either side: as much as a layer one voxel thick, along the normal
    area = 4 * np.pi * 0.09**2
    assert area * min(GRID.spacing) < surface.sum() * CELL < area * max(GRID.spacing)


def test_slice_of_one_voxel(sphere):
    grid = VoxelGrid.from_extent(x=(0.01, 0.01, 1), y=(-0.13, 0.13, 41), z=(0.35, 0.65, 49))
    for fill in ("solid", "surface"):
        assert from_mesh(sphere, grid, fill=fill).max() == 1
    disc = from_mesh(sphere, grid).sum() * grid.spacing[1] * grid.spacing[2]
    assert disc == pytest.approx(np.pi * 0.09**2, rel=0.02)


def test_messages(tmp_path, sphere, monkeypatch):
    with pytest.raises(ValueError, match="fill is 'full': expected 'solid' or 'surface'"):
        from_mesh(sphere, GRID, fill="full")
    with pytest.raises(ValueError, match="scale is 0"):
        from_mesh(sphere, GRID, scale=0)
    for fill in ("solid", "surface"):
        with pytest.raises(ValueError, match="fills no voxel: expected it within"):
            from_mesh(sphere, GRID, fill=fill, offset=(0, 0, 5))
    with pytest.raises(FileNotFoundError, match=r"no mesh file .*none\.stl"):
        from_mesh(tmp_path / "none.stl", GRID)
    (tmp_path / "bad.stl").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"bad\.stl"):
        from_mesh(tmp_path / "bad.stl", GRID)
    mesh = trimesh.load(sphere)
    mesh.update_faces(np.arange(len(mesh.faces)) > 10)
    mesh.export(tmp_path / "open.ply")
    with pytest.raises(ValueError, match="no closed surface"):
        from_mesh(tmp_path / "open.ply", GRID)
    assert from_mesh(tmp_path / "open.ply", GRID, fill="surface").max() == 1
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(ImportError, match=r"mimo-imaging\[mesh\]"):
        from_mesh(sphere, GRID)
