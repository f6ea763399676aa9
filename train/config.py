"""Read the configuration of a training run from TOML into frozen tables; a wrong key is answered by the nearest."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mimo.data.importers.settings import load_toml
from mimo.input_file import whole_input
from mimo.memory import check_memory
from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.reconstructor import check_method
from mimo.models.spread import SPREAD
from mimo.options import build_table, check_ranges, merge_tables, read_tables
from mimo.synth import PRESETS
from mimo.train.corruption import CORRUPTIONS

__all__ = [
    "CONFIGS",
    "DataConfig",
    "DenoiserConfig",
    "OptimizerConfig",
    "OutputConfig",
    "ReconstructorConfig",
    "RunsConfig",
    "SceneConfig",
    "SpreadConfig",
    "load_config",
]

CONFIGS = Path(__file__).parent / "configs"
"""Folder of the configurations that ship."""
SCHEDULES = ("cosine", "rsqrt")
WEIGHTINGS = ("mse", "relative")

MANY, LONG = 2**20, 10**12
"""Largest number of scenes at hand, and of steps: what is larger is a slip, and would take the memory or the day."""
DATA_RANGES = {"pool": (1, MANY), "refresh": (0, MANY), "seed": (0, 2**63 - 1)}
SCENE_RANGES = DATA_RANGES | {"n_freq": (0, 2**20), "arrays": (1, MANY), "array_steps": (1, LONG)}
RUN_RANGES = {"after": (0, LONG), "steps": (1, LONG), "scenes": (1, MANY), "geometries": (1, MANY)}
STEP_RANGES = {"batch": (1, MANY), "n_step": (0, LONG), "warmup": (0, LONG)}
OUTPUT_RANGES = {"log_every": (1, LONG), "validate_every": (1, LONG), "n_validation": (1, MANY), "patience": (0, LONG)}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where scenes come from and what is done to them."""

    corruption: str = "speckle"
    """A name in `CORRUPTIONS`."""
    shapes: tuple[tuple[int, int, int], ...] = ((25, 25, 49),)
    """Sizes of a batch, drawn with equal chance; scenes are cut or padded with zeros to it."""
    pool: int = 512
    """Scenes at hand."""
    refresh: int = 4
    """Scenes replaced by fresh ones at every step."""
    validation_share: float = 0.1
    """Share of a dataset's scenes that no step draws and that the validation uses, two at least."""
    sigma_jitter: float = 0.0
    """Log-normal jitter of the noise level that the network is told (standard deviation of its logarithm)."""
    seed: int = 0
    """Seed of every random number of the run: scenes, noise, the network's first weights."""

    def __post_init__(self) -> None:
        check_ranges("data", self, DATA_RANGES)
        largest = max((math.prod(shape) for shape in self.shapes if len(shape) == 3), default=0)
        check_memory(f"data.pool of {self.pool} scenes of {largest} voxels", 8.0 * self.pool * largest)


@dataclass(frozen=True, kw_only=True)
class RunsConfig:
    """Training pairs from runs with the network itself as the prior."""

    share: float = 0.0
    """Share of the steps that learn from runs."""
    after: int = 0
    """Steps before the first of them."""
    steps: int = 32
    """Steps between two rounds of runs."""
    scenes: int = 12
    """Scenes of a round."""
    geometries: int = 12
    """Arrays, sweeps and grids, one a round, in turn."""

    def __post_init__(self) -> None:
        check_ranges("runs", self, RUN_RANGES)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The steps taken."""

    batch: int = 8
    """Scenes of a step."""
    n_step: int = 10000
    """Steps of the run; ``--time-limit`` may end it before."""
    learning_rate: float = 1e-3
    """Largest step size of AdamW."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    schedule: str = "cosine"
    """``"cosine"`` to 1 % at the end of the run, or ``"rsqrt"``, which needs no end."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are those validated and exported."""
    compile: bool = False
    """Compile the network with ``torch.compile`` on CUDA."""
    weighting: str = "mse"
    """``"mse"`` weighs all samples alike; ``"relative"`` divides a denoiser's error by the sample's noise level + 0.05
    and takes the logarithm of a reconstructor's."""

    def __post_init__(self) -> None:
        check_ranges("optimizer", self, STEP_RANGES)


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """What is written, and when."""

    log_every: int = 50
    """Steps between two lines of the log with the loss."""
    validate_every: int = 500
    """Steps between two validations."""
    checkpoint_minutes: float = 3.0
    """Minutes between two checkpoints; there is one more after every validation that is the best so far."""
    n_validation: int = 32
    """Scenes of the validation set."""
    patience: int = 0
    """Validations without a better figure after which the run ends; 0 for never."""
    pictures: bool = False
    """Draw sample images at every validation (reconstructors only)."""

    def __post_init__(self) -> None:
        check_ranges("output", self, OUTPUT_RANGES)


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """Scenes and measurements of a reconstructor's training."""

    preset: str = "both"
    """``"paper"``, ``"shapes"`` or ``"both"``, in turn at random."""
    n_freq: tuple[int, ...] = (0,)
    """Numbers of frequencies of a batch, drawn with equal chance, evenly spaced over the band; 0 is the sweep of the
    dataset or the measurement itself, 15 on the papers' array."""
    snr_db: tuple[float, float] = (0.0, 30.0)
    """Range of the SNR of a scene, uniform."""
    position_error: float = 0.0
    """Standard deviation of the antennas' position errors along each axis, metres, drawn for every batch."""
    phase_error: float = 0.0
    """Standard deviation of the channels' phase errors, degrees, drawn for every scene; each transmit and each receive
    chain has its share, as in `mimo.synth.Realism`."""
    missing: float = 0.0
    """Largest share of channels without data; the share is uniform below it, and it and the channels are drawn for
    every batch."""
    other_arrays: float = 0.0
    """Share of the batches on arrays, bands and grids drawn at random (`mimo.train.arrays`), which know neither
    `n_freq` nor the pool of scenes; `position_error` is then the same share of the wavelength as on the run's own
    array."""
    arrays: int = 24
    """Random acquisitions at hand."""
    array_steps: int = 480
    """Steps for which each of them stays."""
    faulty: float = 1.0
    """Share of the batches that have position errors, phase errors and gaps."""
    pool: int = 256
    """Scenes at hand."""
    refresh: int = 4
    """Scenes replaced by fresh ones at every step."""
    validation_share: float = 0.1
    """Share of a dataset's scenes that no step draws and that the validation uses, two at least."""
    seed: int = 0
    """Seed of every random number of the run: scenes, noise, the network's first weights."""

    def __post_init__(self) -> None:
        check_ranges("data", self, SCENE_RANGES)


@dataclass(frozen=True, kw_only=True)
class ReconstructorConfig:
    """The training run of a reconstructor."""

    method: MethodConfig = field(default_factory=MethodConfig)
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(in_channels=1, residual=False))
    data: SceneConfig = field(default_factory=SceneConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("data.preset", self.data.preset, (*PRESETS, "both")),
            ("optimizer.schedule", self.optimizer.schedule, SCHEDULES),
            ("optimizer.weighting", self.optimizer.weighting, WEIGHTINGS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        check_method(self.method)
        for name, most in (
            ("position_error", math.inf),
            ("phase_error", math.inf),
            ("missing", 1.0),
            ("other_arrays", 1.0),
            ("faulty", 1.0),
        ):
            if not 0 <= getattr(self.data, name) <= most:
                raise ValueError(f"data.{name} is {getattr(self.data, name)}, expected 0 to {most:g}")
        if self.data.other_arrays and self.method.kind == "dense":
            raise ValueError("data.other_arrays is not for kind 'dense', which knows one array by heart: expected 0")
        if len(self.data.snr_db) != 2 or self.data.snr_db[0] > self.data.snr_db[1]:
            raise ValueError(f"data.snr_db is {self.data.snr_db}, expected the lowest and the highest SNR")
        if not self.data.n_freq:
            raise ValueError(f"data.n_freq is {self.data.n_freq}, expected a list of numbers of frequencies")
        _check_share(self.data.validation_share)

    def with_frequencies(self, n_freq: int) -> ReconstructorConfig:
        """Return the configuration with a number of frequencies where it says 0."""
        return replace(self, data=replace(self.data, n_freq=tuple(n or n_freq for n in self.data.n_freq)))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> ReconstructorConfig:
        """Build from nested tables; a key that is not known raises ``ValueError`` naming the nearest."""
        return build_table(cls, table)

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables of numbers, strings and lists."""
        table = asdict(self)
        table["data"] |= {"n_freq": list(self.data.n_freq), "snr_db": list(self.data.snr_db)}
        return table


@dataclass(frozen=True, kw_only=True)
class SpreadConfig:
    """The training run of the standard deviation that a reconstructor gives beside its image."""

    spread: NetworkConfig = SPREAD
    data: SceneConfig = field(default_factory=SceneConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        ReconstructorConfig(data=self.data, optimizer=self.optimizer)  # their checks

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> SpreadConfig:
        """Build from nested tables; a key that is not known raises ``ValueError`` naming the nearest."""
        return build_table(cls, table)

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables of numbers, strings and lists."""
        table = asdict(self)
        table["data"] |= {"n_freq": list(self.data.n_freq), "snr_db": list(self.data.snr_db)}
        return table


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The training run of a denoiser."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    runs: RunsConfig = field(default_factory=RunsConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("data.corruption", self.data.corruption, tuple(CORRUPTIONS)),
            ("optimizer.schedule", self.optimizer.schedule, SCHEDULES),
            ("optimizer.weighting", self.optimizer.weighting, WEIGHTINGS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        if not 0 <= self.runs.share <= 1:
            raise ValueError(f"runs.share is {self.runs.share}, expected 0 to 1")
        if not self.data.shapes or any(len(s) != 3 or min(s) < 1 for s in self.data.shapes):
            raise ValueError(f"data.shapes is {self.data.shapes!r}, expected a list of [n_x, n_y, n_z]")
        _check_share(self.data.validation_share)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> DenoiserConfig:
        """Build from nested tables; a key that is not known raises ``ValueError`` naming the nearest."""
        return build_table(cls, table)

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables of numbers, strings and lists: what TOML or JSON holds."""
        table = asdict(self)
        table["data"]["shapes"] = [list(shape) for shape in self.data.shapes]
        return table


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"data.validation_share is {share}, expected more than 0 and less than 1")


def load_config(
    name_or_path: str | os.PathLike[str], settings: Sequence[str] = (), *, own_sweep: bool = False
) -> DenoiserConfig | ReconstructorConfig | SpreadConfig:
    """Read a configuration that ships, by name, or any TOML file.

    One with a table ``[method]`` is a reconstructor's, one with ``[spread]`` that of its standard deviation.

    A file with ``base = "deep2s"`` above its tables holds what differs from that configuration, one that ships.

    Parameters
    ----------
    name_or_path
        A name or a file.
    settings
        ``TABLE.KEY=VALUE`` texts, such as ``optimizer.batch=8``, whose values take the place of the file's.
    own_sweep
        Leave out the ``n_freq`` of configurations that ship, which is meant for the papers' band: the run then takes
        the sweep of its dataset or acquisition. What a file of one's own or `settings` say still counts.

    Raises
    ------
    FileNotFoundError
        When there is neither; the message lists the names that ship.
    ValueError
        When the file is not TOML or a key or value is wrong; the message names the key, and the file where it is that.
    """
    path = CONFIGS / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration {str(name_or_path)!r}: neither a file nor one of {_names()}")
    with whole_input(path, "a configuration of `mimo train`"):
        table = _read(path, own_sweep)
        kind: type[DenoiserConfig] | type[ReconstructorConfig] | type[SpreadConfig] = DenoiserConfig
        if "spread" in table or "method" in table:
            kind = SpreadConfig if "spread" in table else ReconstructorConfig
        config = kind.from_dict(table)
    return kind.from_dict(merge_tables(table, read_tables(kind, settings))) if settings else config


def _read(path: Path, own_sweep: bool, above: Sequence[Path] = ()) -> dict[str, Any]:
    """Read a file's tables, upon those of its base; `above` are the files whose base it is."""
    table = load_toml(path)
    if own_sweep and path.parent == CONFIGS and isinstance(table.get("data"), dict):
        table["data"].pop("n_freq", None)
    if "base" not in table:
        return table
    name = table.pop("base")
    base = CONFIGS / f"{name}.toml"
    if not isinstance(name, str) or not base.is_file():
        raise ValueError(f"base is {name!r}, expected one of {_names()}")
    above = [*above, path.resolve()]
    if base.resolve() in above:
        raise ValueError(f"base is {name!r}, whose own base leads back to it: expected a configuration without one")
    return merge_tables(_read(base, own_sweep, above), table)


def _names() -> str:
    return ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
