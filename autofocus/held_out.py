"""Hold some data out, to say whether a corrected radar predicts what no correction was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo.autofocus.unknowns import Unknowns

__all__ = ["Division", "Score", "divide"]

SHARE, SEED = 0.1, 7
"""Share of the channels that is held out, and the seed of the choice."""

FEWEST = 3
"""Fewer channels say nothing: then frequencies are held out."""

FEWEST_FREQUENCIES, MANY_FREQUENCIES = 4, 64
"""Frequencies below which none is held out, and above which every second one is."""

BELIEVED = 2.0
"""Standard errors by which the data held out must be predicted better."""


@dataclass(frozen=True, eq=False)
class Division:
    """Says which data serve to find the errors, and which to judge them.

    Attributes
    ----------
    kept
        Channels to find errors from, bool ``(n_channel,)``.
    fit_freq, test_freq
        Indices of the frequencies of either part.
    by
        ``channel`` or ``frequency``, whichever is held out, or ``nothing``.
    """

    kept: npt.NDArray[np.bool_]
    fit_freq: npt.NDArray[np.int64]
    test_freq: npt.NDArray[np.int64]
    by: str


def divide(unknowns: Unknowns, n_freq: int) -> Division:
    """Choose what to hold out: a tenth of the channels, so that each antenna or pulse keeps half of its own at least.

    Channels with an unknown of their own, or too few of them, leave frequencies to be held out: every second one, or a
    fifth, at random, of fewer than `MANY_FREQUENCIES`, whose echoes would be ambiguous at twice the step.
    """
    rng, n_channel = np.random.default_rng(SEED), len(unknowns.tx)
    every = np.arange(n_freq)
    kept = np.ones(n_channel, bool)
    if unknowns.per != "channel":
        groups = unknowns.channel_groups()
        size = [np.bincount(group) for group in groups]
        left = [count.copy() for count in size]
        for channel in rng.permutation(n_channel):
            if (~kept).sum() >= max(FEWEST, round(SHARE * n_channel)):
                break
            if all(2 * (n[g[channel]] - 1) >= all_[g[channel]] for n, g, all_ in zip(left, groups, size, strict=True)):
                kept[channel] = False
                for count, group in zip(left, groups, strict=True):
                    count[group[channel]] -= 1
        if (~kept).sum() >= FEWEST:
            return Division(kept, every, every, "channel")
    kept[:] = True
    if n_freq >= MANY_FREQUENCIES:
        return Division(kept, every[::2], every[1::2], "frequency")
    if n_freq >= FEWEST_FREQUENCIES:
        out = np.sort(rng.choice(every[1:-1], max(1, n_freq // 5), replace=False))
        return Division(kept, np.setdiff1d(every, out), out, "frequency")
    return Division(kept, every, every[:0], "nothing")


@dataclass(frozen=True, eq=False)
class Score:
    """Holds how well the data held out are predicted: energy of each part, and of what is left of it.

    Attributes
    ----------
    energy, left
        Float64 ``(n_part,)``: a part is a channel of a scene.
    """

    energy: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64]

    @property
    def share(self) -> float:
        """Share of the energy that is predicted; 0 where nothing was held out."""
        total = float(self.energy.sum())
        return 1 - float(self.left.sum()) / total if total else 0.0

    def beats(self, other: Score) -> bool:
        """Whether this predicts more than `other` and than nothing, beyond chance: a paired test of the logarithms.

        Logarithms, as a radar in disorder predicts some channels worse than others by orders of magnitude.
        """
        tiny = np.finfo(np.float64).tiny
        gain = np.log(np.maximum(other.left, tiny)) - np.log(np.maximum(self.left, tiny))
        if self.share <= max(other.share, 0.0) or len(gain) < 2:
            return False
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        return bool(gain.mean() > BELIEVED * error)
