"""Mirror planes split the Gram matrix into blocks that have its eigenvalues, whatever the symmetry is."""

import numpy as np
import pytest
import torch
from helper import relative_gap

from mimo import Acquisition, ArrayGeometry, FrequencySweep, GramFactor, VoxelGrid, operator_of
from mimo.gram import gram_blocks, gram_matrix
from mimo.mirror import mirror_blocks

SWEEP = FrequencySweep.linear(4e9, 12e9, 3)
CROSS = ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.3)
PLANAR = ArrayGeometry(
    np.array([[-0.1, 0.05, 0], [0.1, 0.05, 0], [-0.1, -0.05, 0], [0.1, -0.05, 0]]),
    np.array([[0, 0.1, 0], [0, -0.1, 0], [0, 0, 0.0]]),
)


def grid(n_x: int = 4, n_y: int = 4, shift: float = 0.0) -> VoxelGrid:
    extent = [(-0.06 + shift, 0.06 + shift, n) if n > 1 else (shift, shift, 1) for n in (n_x, n_y)]
    return VoxelGrid.from_extent(x=extent[0], y=extent[1], z=(0.4, 0.5, 2))


def symmetric_region(shape: tuple[int, ...]) -> np.ndarray:
    inside = np.ones(shape, bool)
    inside[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    return inside


MASK = np.ones((3, 4), bool)
MASK[1, 1] = MASK[1, 2] = False  # the channels of the middle transmitter and the two inner receivers
CASES = {
    "diagonals of a square": (Acquisition(CROSS, SWEEP, grid()), 4),
    "diagonals, voxels on the planes": (Acquisition(CROSS, SWEEP, grid(5, 5)), 4),
    "half a turn is left on an oblong grid": (Acquisition(CROSS, SWEEP, grid(4, 3)), 2),
    "planes normal to x and y": (Acquisition(PLANAR, SWEEP, grid(4, 3)), 4),
    "one voxel": (Acquisition(PLANAR, SWEEP, grid(1, 1)), 4),
    "a grid that is off": (Acquisition(CROSS, SWEEP, grid(shift=0.01)), 2),
    "no symmetry": (Acquisition(PLANAR, SWEEP, grid(shift=0.01)), 1),
    "a symmetric region": (Acquisition(CROSS, SWEEP, grid(), inside=symmetric_region((4, 4, 2))), 4),
    "masked channels": (
        Acquisition(ArrayGeometry(CROSS.tx_pos, CROSS.rx_pos, mask=MASK), SWEEP, grid()),
        4,
    ),
    "listed channels": (
        Acquisition(
            ArrayGeometry(PLANAR.tx_pos, PLANAR.rx_pos, channels=np.array([[0, 2], [1, 2], [2, 2], [3, 2]])),
            SWEEP,
            grid(),
        ),
        4,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_blocks_are_the_matrix_in_another_basis(name: str) -> None:
    acquisition, n_block = CASES[name]
    A = operator_of(acquisition, dtype=torch.complex128)
    blocks = mirror_blocks(acquisition)
    assert len(blocks) <= n_block
    assert len(blocks) == n_block or name == "one voxel"
    assert sum(len(block.rows) for block in blocks) == A.n_measurement
    whole = torch.linalg.eigvalsh(gram_matrix(A))
    parts = torch.cat([torch.linalg.eigvalsh(matrix) for matrix in gram_blocks(A)]).sort().values
    assert relative_gap(parts, whole) < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_a_factor_of_blocks_has_the_eigenvectors_of_the_matrix(name: str) -> None:
    A = operator_of(CASES[name][0], dtype=torch.complex128)
    factor, matrix = GramFactor.of(A, cache=False), gram_matrix(A)
    U = factor.eigenvectors
    assert relative_gap(U.mH @ U, torch.eye(len(U), dtype=U.dtype)) < 1e-12
    assert relative_gap(U @ torch.diag(factor.eigenvalues.to(U.dtype)) @ U.mH, matrix) < 1e-12
    y = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    if A.array.mask is not None:
        y = y * torch.as_tensor(A.array.mask.copy())
    assert relative_gap(factor.measurement(factor.coefficients(y)), y) < 1e-12


def test_an_antenna_out_of_place_breaks_the_symmetry() -> None:
    tx = CROSS.tx_pos.copy()
    tx[0, 0] += 1e-5
    moved = Acquisition(ArrayGeometry(tx, CROSS.rx_pos), SWEEP, grid())
    assert len(mirror_blocks(moved)) < 4


def test_a_reference_path_that_is_not_symmetric_breaks_the_symmetry() -> None:
    path = np.zeros((3, 4))
    path[0, 0] = 0.01
    assert len(mirror_blocks(Acquisition(CROSS, SWEEP, grid(), reference_path=path))) < 4
