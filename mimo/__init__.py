"""Model and invert near-field MIMO radar measurements: geometry, operators and image formers.

Conventions, the same everywhere:

- SI units: metres, hertz, seconds; a suffix marks what is not (``snr_db``).
- Right-handed frame. Planar arrays lie near z = 0 and look along +z (down-range); x and y are cross-range.
- Time factor exp(+j omega t): a wave that has travelled R carries exp(-j k R), k = 2 pi f sqrt(permittivity) / c.
- Born model: ``y[f, t, r] = sum_v x[v] exp(-j k_f (R_t(v) + R_r(v))) / (4 pi R_t(v) R_r(v))``.
- A measurement is ``(..., n_freq, n_tx, n_rx)``, or ``(..., n_freq, n_channel)`` where the array lists its channels
  (a *paired* array); a volume is ``(..., n_x, n_y, n_z)``. Leading axes are a batch of scenes. Numbers are complex64 by
  default, complex128 on request.
- `adjoint` is exactly the conjugate transpose of `forward`. `backproject` and `kirchhoff` weight the data otherwise.
- Distances and phases k R are computed in float64; a phase is reduced modulo 2 pi before it is rounded to float32.
- dB of a magnitude is 20 log10, relative to the volume's own maximum unless a reference is named.
"""

from pathlib import Path

# In a checkout the sibling folders data, synth, models, ... are imported as mimo.data, mimo.synth, ..., as they are
# where the package is installed.
if (_root := Path(__file__).parents[1]).joinpath("pyproject.toml").is_file():
    __path__.append(str(_root))

from mimo.acquisition import Acquisition
from mimo.array import ArrayGeometry
from mimo.born import BornOperator, PairedBornOperator, born_operator, operator_of
from mimo.fast.factorised_backprojection import backproject_factorised
from mimo.fast.fast_operator import FastOperator
from mimo.fast.profile_imaging import backproject_fast, kirchhoff_fast
from mimo.fast.range_migration import range_migration
from mimo.gram import GramFactor
from mimo.grid import VoxelGrid
from mimo.imaging import backproject, kirchhoff
from mimo.imaging_operator import ImagingOperator
from mimo.layers import LayeredMedium
from mimo.pattern import AntennaPattern, CosinePattern, TablePattern
from mimo.radar_derivatives import measure_with
from mimo.sampling import expected_sampling
from mimo.sweep import FrequencySweep
from mimo.windows import Window, windowed

__all__ = [
    "Acquisition",
    "AntennaPattern",
    "ArrayGeometry",
    "BornOperator",
    "CosinePattern",
    "FastOperator",
    "FrequencySweep",
    "GramFactor",
    "ImagingOperator",
    "LayeredMedium",
    "PairedBornOperator",
    "TablePattern",
    "VoxelGrid",
    "Window",
    "backproject",
    "backproject_factorised",
    "backproject_fast",
    "born_operator",
    "expected_sampling",
    "kirchhoff",
    "kirchhoff_fast",
    "measure_with",
    "operator_of",
    "range_migration",
    "windowed",
]
