"""Say whether Markov chains have converged: split R-hat and effective sample size of every voxel.

Both compare the variance within the chains with that between them (Gelman et al., *Bayesian Data Analysis*, 3rd
edition, 2013, section 11.4). Each chain is split into halves first, so that a chain that drifts differs from itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["effective_sample_size", "split_r_hat"]

Array = npt.NDArray[np.floating]

LEAST = 4
"""Samples a chain must have for its halves to have a variance."""


def split_r_hat(chains: npt.ArrayLike) -> Array:
    """Return the potential scale reduction of chains that are split into halves; 1 where they agree.

    ``R = sqrt(((n - 1) / n W + B / n) / W)`` with the mean W of the variances within the half chains of n samples, and
    B = n times the variance of their means.

    Parameters
    ----------
    chains
        Samples, real ``(n_chain, n, ...)``.

    Returns
    -------
    array ``(...)``
        NaN where there are fewer than four samples a chain; 1 where no sample differs from another.
    """
    halves = _halves(np.asarray(chains))
    if halves is None:
        return np.full(np.shape(chains)[2:], np.nan)
    within, total = _variances(halves)
    return np.sqrt(np.divide(total, within, out=_where_constant(within, total), where=within > 0))


def effective_sample_size(chains: npt.ArrayLike) -> Array:
    """Return how many independent samples would say as much of the mean as the chains do.

    ``n_chain n / (1 + 2 sum_t rho_t)``, with the correlations rho_t at lag t over all half chains, summed until the sum
    of a pair of neighbouring lags is negative (Geyer, Statistical Science 7 (1992) 473).

    Parameters
    ----------
    chains
        Samples, real ``(n_chain, n, ...)``.

    Returns
    -------
    array ``(...)``
        Between 1 and the number of samples; NaN where there are fewer than four samples a chain, the number of samples
        where none differs from another.
    """
    halves = _halves(np.asarray(chains))
    if halves is None:
        return np.full(np.shape(chains)[2:], np.nan)
    n_chain, n = halves.shape[:2]
    _, total = _variances(halves)
    varies = total > 0
    spread = np.where(varies, total, 1.0)

    def correlation(lag: int) -> Array:
        steps = np.square(halves[:, lag:] - halves[:, : n - lag]).mean((0, 1))
        return 1 - steps / (2 * spread)

    # lags 0 and 1 are the first pair: 1 + 2 sum of rho = 2 sum of pairs - 1
    pairs, going = np.zeros_like(spread), varies.copy()
    for lag in range(0, n - 1, 2):
        pair = (np.ones_like(spread) if lag == 0 else correlation(lag)) + correlation(lag + 1)
        going &= pair > 0
        if not going.any():
            break
        pairs += np.where(going, pair, 0)
    count = n_chain * n
    return np.where(varies, np.clip(count / np.maximum(2 * pairs - 1, 1 / count), 1, count), count)


def _halves(chains: Array) -> Array | None:
    """Return the halves of chains as chains of their own, float64; the middle sample of an odd number is left out."""
    n = chains.shape[1]
    if n < LEAST:
        return None
    return np.concatenate([chains[:, : n // 2], chains[:, n - n // 2 :]]).astype(np.float64)


def _variances(chains: Array) -> tuple[Array, Array]:
    """Return the mean variance within the chains, and the variance estimated from within and between them."""
    n = chains.shape[1]
    within = chains.var(1, ddof=1).mean(0)
    return within, (n - 1) / n * within + chains.mean(1).var(0, ddof=1)


def _where_constant(within: Array, total: Array) -> Array:
    """Return R squared where no chain moves: 1 where they all stand on one value, infinite where on several."""
    return np.where(total > within, np.inf, 1.0)
