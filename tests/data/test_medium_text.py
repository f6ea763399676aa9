"""Patterns and layers in words and files: what is read is what the value objects say, and bad words get one line."""

import h5py
import numpy as np
import pytest
import scipy.io

from mimo import CosinePattern, LayeredMedium, TablePattern
from mimo.data.medium import layers_from_text, patterns_from_text
from mimo.pattern import describe_patterns

ANGLE, FREQ = np.array([0.0, 0.4, 1.2]), np.array([4e9, 9e9])
VALUES = np.array([[1, 0.9], [0.7, 0.5j], [0.2, 0.1]])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["cos:2"], (CosinePattern(2), CosinePattern(2))),
        (["tx=cos:1.5"], (CosinePattern(1.5), None)),
        (["rx=cos:0", "tx=cos:3"], (CosinePattern(3), CosinePattern(0))),
    ],
)
def test_patterns_in_words(texts, expected):
    assert patterns_from_text(texts) == expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (None, None),
        (CosinePattern(2.0), "cos:2"),
        ((CosinePattern(0.5), None), "tx=cos:0.5, rx=none"),
        ((None, None), None),
        (
            (None, TablePattern([0, 1], [1e9], [[1.0], [0.5]])),
            "tx=none, rx=table of 2 angles and 1 frequencies, sha256 a91254f8bc00",
        ),
    ],
)
def test_patterns_are_told_as_they_are_given(pattern, words):
    assert describe_patterns(pattern) == words


@pytest.mark.parametrize("suffix", ["npz", "h5", "mat"])
def test_tables(tmp_path, suffix):
    path, arrays = tmp_path / f"antenna.{suffix}", {"angle": ANGLE, "freq": FREQ, "values": VALUES}
    if suffix == "npz":
        np.savez(path, **arrays)
    elif suffix == "mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    table = TablePattern(ANGLE, FREQ, VALUES)
    assert patterns_from_text([str(path)]) == (table, table)
    assert patterns_from_text([f"rx={path}"]) == (None, table)


def test_a_table_without_frequencies_is_the_same_at_all(tmp_path):
    np.savez(tmp_path / "a.npz", angle=ANGLE, values=VALUES[:, 0].real)
    table = patterns_from_text([str(tmp_path / "a.npz")])[0]
    assert table.flat
    np.testing.assert_array_equal(table.values, VALUES[:, :1].real)


def test_bad_patterns_get_one_line(tmp_path):
    for texts, parts in {
        ("sin:2",): ("sin:2", "cos:N"),
        ("cos:",): ("cos:", "N 0 or more"),
        ("cos:-1",): ("cos:-1", "N 0 or more"),
        ("cos:1", "tx=cos:2"): ("second one for tx",),
        ("tx=none.npz",): ("none.npz", "cannot be read"),
    }.items():
        with pytest.raises(ValueError, match=r".*".join(parts)):
            patterns_from_text(texts)
    np.savez(tmp_path / "a.npz", angle=np.degrees(ANGLE), freq=FREQ, values=VALUES)
    with pytest.raises(ValueError, match=r"a\.npz: pattern angle: expected two or more radians"):
        patterns_from_text([str(tmp_path / "a.npz")])
    np.savez(tmp_path / "a.npz", angle=ANGLE, freq=FREQ, values=VALUES.T)
    with pytest.raises(ValueError, match=r"a\.npz: pattern values has shape \(2, 3\).*expected \(3, 2\)"):
        patterns_from_text([str(tmp_path / "a.npz")])
    np.savez(tmp_path / "a.npz", theta=ANGLE, values=VALUES)
    with pytest.raises(ValueError, match=r"a\.npz: array 'angle' is missing.*theta"):
        patterns_from_text([str(tmp_path / "a.npz")])


def test_layers_in_words_and_in_a_file(tmp_path):
    wall = LayeredMedium([0.5, 0.62], [1, 4.5, 1])
    (tmp_path / "wall.toml").write_text("interfaces = [0.5, 0.62]\npermittivity = [1, 4.5, 1]")
    assert layers_from_text(None) is None
    for text in ("1,z=0.5,4.5,z=0.62,1", str(tmp_path / "wall.toml"), str(wall)):
        assert layers_from_text(text) == wall
    assert layers_from_text("8") == LayeredMedium([], [8])


def test_bad_layers_get_one_line(tmp_path):
    for text, said in {
        "1,0.5,4": "wrong at '0.5'",
        "1,z=0.5": "one more",
        "z=0.5,4": "wrong at 'z=0.5'",
        "1,z=x,4": "wrong at 'z=x'",
        "1,z=0.5,-4": "positive",
        "1,z=0.7,4,z=0.5,1": "ascending",
        "": "wrong at ''",
        str(tmp_path / "none.toml"): r"none\.toml: cannot be read",
    }.items():
        with pytest.raises(ValueError, match=said):
            layers_from_text(text)
    for text, said in {
        "interfaces = [0.5]": r"a\.toml: permittivity is missing",
        "interfaces = [0.5]\npermittivity = [1, 2]\nz = 1": r"a\.toml: z is not known",
        "interfaces = ['a']\npermittivity = [1, 2]": r"a\.toml: layers interfaces",
        "interfaces = 0.5\npermittivity = [1, 2]": r"a\.toml: layers interfaces",
        "interfaces = [[0.5]]\npermittivity = [1, 2]": r"a\.toml: layers interfaces",
    }.items():
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(ValueError, match=said):
            layers_from_text(str(tmp_path / "a.toml"))
