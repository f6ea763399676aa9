"""Damage the bytes of a file, as a bad disk, a broken transfer or a hostile hand does; the same for the same seed."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["damaged"]

WEIRD = (
    b"-1", b"0", b"1e999", b"nan", b"-inf", b"1000000000000", b"99999999999999999999", b"''", b'""', b"[]", b"{}",
    b"null", b"true", b"[[[[]]]]", b"\xff\xfe", b"\x00", b"\xe2\x80\xae", b"1e-320", b"0.5", b"x" * 300, b"[" * 3000,
    b"/dev/null", b"../../x", b"%s%n", b",,,", b"\n\n", b"=", b"'''",
)  # fmt: skip
"""What a number or a word of a text is replaced by."""

WORD = re.compile(rb"[-+.\w]+")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with one to four damages."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng)
    return bytes(data)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Return a place, in half of the cases among the first bytes, which are the headers of most formats."""
    end = min(len(data), 2048) if rng.random() < 0.5 else len(data)
    return int(rng.integers(end)) if end else 0


def _bit(data: bytearray, rng: np.random.Generator) -> bytearray:
    if data:
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _byte(data: bytearray, rng: np.random.Generator) -> bytearray:
    if data:
        data[_place(data, rng)] = int(rng.integers(256))
    return data


def _block(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, n = _place(data, rng), int(rng.choice([1, 2, 4, 8, 64]))
    fill = [b"\0" * n, b"\xff" * n, b"\x7f" * n, rng.bytes(n)][int(rng.integers(4))]
    data[at : at + n] = fill[: len(data) - at]
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.choice([1, 3, 16, 200]))]
    return data


def _twice(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    data[at:at] = data[at : at + int(rng.choice([1, 16, 200]))]
    return data


def _end(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: _place(data, rng)]


def _word(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Replace a number or a word of the first 64 kB, as in a text or a header that is one."""
    found = [match.span() for match in WORD.finditer(data, 0, 2**16)]
    if found:
        start, stop = found[int(rng.integers(len(found)))]
        data[start:stop] = WEIRD[int(rng.integers(len(WEIRD)))]
    return data


def _swapped(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Replace a word by another one of the same file."""
    found = [match.span() for match in WORD.finditer(data, 0, 2**16)]
    if len(found) > 1:
        (a, b), (c, d) = (found[int(i)] for i in rng.integers(len(found), size=2))
        data[a:b] = data[c:d]
    return data


DAMAGES = (_bit, _bit, _byte, _block, _cut, _twice, _end, _word, _word, _swapped)
