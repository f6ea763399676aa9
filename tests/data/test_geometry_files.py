"""Geometry files: an array without a measurement, made from layouts and tables, taken by synth and info."""

import numpy as np
import pytest

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data
from mimo.data import FileError
from mimo.data.files.geometry import Geometry, array_alone, load_geometry, save_geometry
from mimo.data.importers.array_tables import array_from_table

TX = np.array([[-10.0, 2, 0], [9, -5, 1]])
RX = np.array([[3.0, 11, 0], [-4, -12, 0], [12, 6, 2]])
GRID = VoxelGrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4), np.linspace(2, 3, 5))
MASK = np.array([[True, False, True], [True, True, True]])


@pytest.mark.parametrize("paired", [True, False])
def test_what_is_saved_is_loaded(tmp_path, paired):
    more = {"channels": [[0, 1], [1, 2]]} if paired else {"mask": MASK}
    array = ArrayGeometry(TX, RX, tx_normal=TX + 1, name="mine", **more)
    geometry = Geometry(array, FrequencySweep.linear(1e9, 2e9, 5), GRID)
    save_geometry(tmp_path / "a.h5", geometry)
    assert load_geometry(tmp_path / "a.h5") == geometry
    assert array_alone(tmp_path / "a.h5") == geometry
    save_geometry(tmp_path / "b.h5", Geometry(array))
    assert load_geometry(tmp_path / "b.h5") == Geometry(array)
    with pytest.raises(FileError, match=r"b\.h5: measurement/values is missing.*array alone.*synth --array"):
        data.load(tmp_path / "b.h5")


def test_a_file_with_a_measurement_gives_its_array_too(tmp_path):
    scan = data.Measurement(np.ones((1, 2, 2, 3), complex), ArrayGeometry(TX, RX), FrequencySweep([1e9, 2e9]))
    data.save(tmp_path / "scan.h5", scan)
    assert load_geometry(tmp_path / "scan.h5") == Geometry(scan.array, scan.sweep)
    assert array_alone(tmp_path / "scan.h5") is None
    (tmp_path / "other.h5").write_bytes(b"no file")
    assert array_alone(tmp_path / "other.h5") is None
    with pytest.raises(FileError, match=r"other\.h5"):
        load_geometry(tmp_path / "other.h5")


def write_tables(folder):
    rows = [("tx", *p) for p in TX] + [("rx", *p) for p in RX]
    (folder / "all.csv").write_text("kind,x,y,z\n" + "\n".join(",".join(map(str, row)) for row in rows))
    (folder / "Tx.dat").write_text("x,y,z\n" + "\n".join(",".join(map(str, p)) for p in TX))
    (folder / "Rx.dat").write_text("\n".join(" ".join(map(str, p)) for p in RX))
    np.savez(folder / "both.npz", tx_pos=TX, rx_pos=RX)


@pytest.mark.parametrize("names", [("all.csv",), ("Tx.dat", "Rx.dat"), ("both.npz",)])
def test_an_array_is_read_from_tables(tmp_path, names):
    write_tables(tmp_path)
    made = array_from_table(*(tmp_path / name for name in names), unit="mm")
    np.testing.assert_allclose(made.tx_pos, 1e-3 * TX)
    np.testing.assert_allclose(made.rx_pos, 1e-3 * RX)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind,x,y,z\ntx,1,2,3", ["1 tx and 0 rx"]),
        ("kind,x,y,z\nboth,1,2,3\nor,1,2,3", ["row 3", "'or'", "tx, rx, both"]),
        ("kind,x,y,z\nboth,1,2,far", ["row 2", "column z", "'far'"]),
        ("x,y,z\n1,2,3", ["no column kind"]),
    ],
)
def test_a_table_that_is_no_array_is_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FileError) as caught:
        array_from_table(tmp_path / "t.csv", unit="mm")
    assert all(word in str(caught.value) for word in words), str(caught.value)
    with pytest.raises(FileError, match="unit is 'ell'"):
        array_from_table(tmp_path / "t.csv", unit="ell")


def test_rows_of_another_length_are_refused(tmp_path):
    (tmp_path / "t.dat").write_text("1 2 3\n1 2\n")
    with pytest.raises(FileError, match=r"row 2 has 2 columns: expected 3"):
        array_from_table(tmp_path / "t.dat", tmp_path / "t.dat", unit="m")


@pytest.mark.parametrize("spoiled", ["array/rx_pos", "grid/y"])
def test_a_geometry_file_without_a_part_is_refused(tmp_path, spoiled):
    import h5py

    save_geometry(tmp_path / "a.h5", Geometry(ArrayGeometry(TX, RX), None, GRID))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file[spoiled]
    with pytest.raises(FileError, match=f"{spoiled} is missing"):
        load_geometry(tmp_path / "a.h5")
