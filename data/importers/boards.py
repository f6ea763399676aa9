"""Where the antennas of Texas Instruments' radar boards stand, by name: the layouts of their published drawings.

Positions are in half wavelengths of the frequency that a board is designed for; x runs along the row of receivers from
the first on, y towards the transmitter that is out of line. The middle of the virtual array is the origin. No source
says whether x grows to the right or to the left of someone behind the board: where an image comes out mirrored, mirror
the board. Nor is the way from the receivers to the transmitters known of every board; it shifts an image by half of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light

from mimo import ArrayGeometry
from mimo.data.files.schema import UnfitError
from mimo.options import unknown

__all__ = ["BOARDS", "Board", "board_array"]

Places = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Board:
    """Describes the antennas of a board.

    Parameters
    ----------
    tx, rx
        Places ``(x, y)`` of the transmitters and the receivers, half wavelengths, in the order of their numbers.
    design_freq
        Frequency of that wavelength, hertz.
    source
        Where the places were published.
    gap
        Length along x that all transmitters are further away than `tx` says, metres.
    rx_sign
        Sign of each receiver, where some are fed from the other side; empty: all alike.
    unsure
        What the sources do not say.
    """

    tx: Places
    rx: Places
    design_freq: float
    source: str
    gap: float = 0.0
    rx_sign: tuple[int, ...] = ()
    unsure: str = ""


ROW: Places = ((0, 0), (1, 0), (2, 0), (3, 0))
UTD = "M. E. Yanik and J. W. Smith, MIMO-SAR toolboxes of UT Dallas (xWR1x43: 79 GHz, TX1 5 mm beyond RX4)"
NO_GAP = "the way from the row of receivers to the transmitters: give it as tx_offset"

BOARDS = {
    "iwr1443": Board(((3, 0), (5, 1), (7, 0)), ROW, 79e9, UTD, gap=5e-3),
    "iwr1642": Board(
        ((3, 0), (7, 0)),
        ROW,
        79e9,
        "TI, xWR1642BOOST: two transmitters two wavelengths apart, four receivers half a wavelength apart",
        gap=5e-3,
        unsure="the way from RX4 to TX1, taken as that of the xWR1x43 boards, and the frequency of the drawing",
    ),
    "iwr1843": Board(((3, 0), (5, 1), (7, 0)), ROW, 79e9, UTD, gap=5e-3),
    "iwr6843isk": Board(
        ((0, 0), (2, 1), (4, 0)),
        ROW,
        62e9,
        "TI, 3D people tracking, antGeometry0 and 1 of the ISK board; SWRU585 (the same row of antennas): 62 GHz",
        unsure=NO_GAP,
    ),
    "iwr6843aop": Board(
        ((2, 2), (0, 0), (2, 0)),
        ((0, 0), (0, 1), (1, 0), (1, 1)),
        62e9,
        "TI, 3D people tracking, antGeometry0, antGeometry1 and antPhaseRot of the AOP board",
        rx_sign=(-1, 1, -1, 1),
        unsure=f"the frequency of the drawing, taken as that of the ISK board; {NO_GAP}",
    ),
    "awr2243-cascade": Board(
        tuple(zip((11, 10, 9, 32, 28, 24, 20, 16, 12, 8, 4, 0), (6, 4, 1) + 9 * (0,), strict=True)),
        tuple((x, 0) for first in (11, 50, 46, 0) for x in range(first, first + 4)),
        76.8e9,
        "TI, MMWCAS-RF-EVM, parameters of mmWave Studio's example for the cascade; TIDUEN5, figures 5 to 7",
        unsure=NO_GAP,
    ),
}
"""Boards by name; the cascade's antennas are those of the master, then of the slaves 1, 2 and 3."""


def board_array(
    name: str,
    *,
    tx: tuple[int, ...] = (),
    rx: tuple[int, ...] = (),
    tx_offset: tuple[float, ...] = (0.0, 0.0, 0.0),
    mirror: bool = False,
) -> tuple[ArrayGeometry, npt.NDArray[np.float64]]:
    """Return the array of a board, and the sign of each receiver.

    Parameters
    ----------
    name
        One of `BOARDS`, in any case; awr1843 or IWR1843BOOST is iwr1843.
    tx, rx
        Numbers of the antennas in use, from 0; all when empty.
    tx_offset
        Added to every transmitter, x, y, z in metres: what was measured on the board.
    mirror
        Whether x is negated.

    Returns
    -------
    tuple
        The array and the signs, float64 ``(n_rx,)``.

    Raises
    ------
    ValueError
        When there is no such board (the nearest is named), or it has no such antenna.
    """
    short = name.lower().removesuffix("boost")
    short = short if short in BOARDS else f"i{short[1:]}"
    if short not in BOARDS:
        raise UnfitError(unknown("board", name, BOARDS))
    board = BOARDS[short]
    half = speed_of_light / board.design_freq / 2
    sides = [np.array([(x, y, 0) for x, y in places], np.float64) * half for places in (board.tx, board.rx)]
    sides[0] += np.array([board.gap, 0, 0]) + np.array(tx_offset, np.float64)
    middle = (sides[0].mean(axis=0) + sides[1].mean(axis=0)) / 2 * (1, 1, 0)
    picked = []
    for side, points, numbers in zip(("tx", "rx"), sides, (tx, rx), strict=True):
        bad = [number for number in numbers if not 0 <= number < len(points)]
        if bad or len(set(numbers)) < len(numbers):
            wrong = f"has {side} {bad[0]}" if bad else f"has a {side} twice, {list(numbers)}"
            raise UnfitError(
                f"the capture {wrong}, board {name} has {len(points)} {side}: expected 0 to {len(points) - 1}"
            )
        picked.append((points - middle)[list(numbers) or slice(None)] * (-1 if mirror else 1, 1, 1))
    sign = np.array(board.rx_sign or np.ones(len(board.rx)), np.float64)[list(rx) or slice(None)]
    return ArrayGeometry(picked[0], picked[1], name=short), sign
