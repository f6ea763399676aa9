"""The table drives the refusals: each field dropped, misshapen and mistyped must be named."""

import pickle
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from data_samples import make_measurement

from mimo.data import FileError, load, load_reconstructions, save, validate
from mimo.data.files import reader
from mimo.data.files.schema import ATTRIBUTES, FIELDS, SCHEMA_VERSION, UnfitError, check_shape, markdown_table

METHOD = {"magnitude": "u-net_3d", "std": "u-net_3d", "quantiles": "u-net_3d"}
"""Method in whose group a field is, where not that of `pnp`."""
SHAPED = [field for field in FIELDS if field.dtype != "str"]


def cases(fields, *others):
    """Each field with the kinds of array (paired or not) in whose file it is, and with the other parameters."""
    return [
        pytest.param(field, *other, paired, id="-".join([field.path, *map(str, other), "paired" * paired]).strip("-"))
        for field in fields
        for other in (others or [()])
        for paired in kinds(field)
    ]


def kinds(field):
    if field.path in ("array/channels", "array/mask"):
        return [field.path == "array/channels"]
    return [False, True] if len(field.axes) > 1 else [False]


def place(field):
    """The field's path in the file that the `saved` fixture writes."""
    return field.at(METHOD.get(field.path.rpartition("/")[2], "pnp"))


def change(path, name, edit):
    """Replace a dataset by what `edit` makes of it, attributes kept."""
    with h5py.File(path, "r+") as file:
        data, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        file[name] = edit(data)
        file[name].attrs.update(attributes)


def refused(path, *words):
    """Every way of reading must refuse the file in one line that has the words."""
    for read in (load, validate, load_reconstructions):
        with pytest.raises(FileError) as caught:
            read(path)
        message = str(caught.value)
        assert "\n" not in message
        assert "expected" in message
        for word in (str(path), *words):
            assert word in message, message


@pytest.mark.parametrize(("field", "saved"), cases(f for f in FIELDS if f.required), indirect=["saved"])
def test_a_missing_required_field_is_named(saved, field):
    with h5py.File(saved, "r+") as file:
        del file[field.path]
    refused(saved, field.path, "missing")


@pytest.mark.parametrize(("field", "saved"), cases(f for f in FIELDS if not f.required), indirect=["saved"])
def test_an_optional_field_may_be_absent_or_its_companions_are_asked_for(saved, field):
    with h5py.File(saved, "r+") as file:
        del file[place(field)]
    if field.path.startswith("grid/"):
        refused(saved, field.path)
    elif field.path == "calibration/gain":
        refused(saved, "calibration/gain", "calibration/delay")
    elif field.path == "array/channels":
        refused(saved, "measurement/values")
    elif field.path.endswith(("reflectivity", "magnitude")) and field.path.startswith("reconstruction"):
        refused(saved, place(field).rpartition("/")[0])
    else:
        validate(saved)


@pytest.mark.parametrize(("field", "extra", "saved"), cases(SHAPED, ("axis",), ("scalar",)), indirect=["saved"])
def test_a_wrong_rank_is_named(saved, field, extra):
    change(saved, place(field), (lambda a: a[None]) if extra == "axis" else (lambda a: a.reshape(-1)[0]))
    refused(saved, place(field), "has shape")


@pytest.mark.parametrize(
    ("field", "axis", "saved"),
    [
        pytest.param(f, i, paired, id=f"{f.path}-{f.axes[paired and len(f.axes) > 1][i]}")
        for f in SHAPED
        for paired in kinds(f)
        for i, name in enumerate(f.axes[paired and len(f.axes) > 1])
        if name != f.defines
    ],
    indirect=["saved"],
)
def test_a_wrong_length_is_named(saved, field, axis):
    def longer(a):
        return np.concatenate([a, a.take([0], axis)], axis)

    change(saved, place(field), longer)
    refused(saved, place(field), "has shape")


@pytest.mark.parametrize(("field", "saved"), cases(SHAPED), indirect=["saved"])
def test_an_empty_axis_is_named(saved, field):
    change(saved, place(field), lambda a: a[:0])
    refused(saved, place(field), "shape (0,")


KINDS = {
    "text": lambda a: np.full(a.shape, b"1.0"),
    "variable-length text": lambda a: np.full(a.shape, "1.0", h5py.string_dtype()),
    "compound": lambda a: np.zeros(a.shape, [("a", "f8"), ("b", "f8")]),
    "reference": lambda a: np.full(a.shape, h5py.Reference(), h5py.ref_dtype),
    "complex": lambda a: a.astype(complex),
    "real": lambda a: np.ones(a.shape),
}


RIGHT = {"f8": {"real"}, "f4": {"real"}, "c8": {"complex"}, "str": {"text"}}


@pytest.mark.parametrize(
    ("field", "kind", "saved"),
    [c for f in FIELDS for c in cases([f], *((k,) for k in KINDS if k not in RIGHT.get(f.dtype, ())))],
    indirect=["saved"],
)
def test_a_wrong_kind_is_named(saved, field, kind):
    change(saved, place(field), lambda a: KINDS[kind](np.zeros(1) if field.dtype == "str" else a))
    refused(saved, place(field), "has dtype")


@pytest.mark.parametrize(
    ("field", "value", "saved"),
    cases([f for f in SHAPED if f.dtype in ("f8", "f4", "c8")], (np.nan,), (-np.inf,)),
    indirect=["saved"],
)
def test_a_number_that_is_none_is_named_with_its_index(saved, field, value):
    def spoil(a):
        a[(-1,) * a.ndim] = value
        return a

    change(saved, place(field), spoil)
    with h5py.File(saved) as file:
        index = tuple(n - 1 for n in file[place(field)].shape)
    with pytest.raises(FileError, match=re.escape(f"{place(field)} is ") + ".*" + re.escape(str(index))):
        validate(saved)


@pytest.mark.parametrize("attribute", [a for a in ATTRIBUTES if a.required], ids=lambda a: a.name)
def test_a_missing_attribute_is_named(saved, attribute):
    with h5py.File(saved, "r+") as file:
        del file[attribute.owner.replace("<method>", "pnp") or "/"].attrs[attribute.name]
    refused(saved, attribute.name)


@pytest.mark.parametrize(
    ("owner", "name", "value", "words"),
    [
        ("/", "schema", np.bytes_("other"), ["schema", "'other'", "'mimo-imaging'"]),
        ("/", "schema", 3, ["schema"]),
        ("/", "schema_version", SCHEMA_VERSION + 1, ["schema_version", str(SCHEMA_VERSION + 1), "update"]),
        ("/", "schema_version", np.bytes_("1"), ["schema_version"]),
        ("/", "schema_version", 0, ["schema_version"]),
        ("measurement/values", "phase_sign", 2, ["phase_sign", "-1 or +1"]),
        ("measurement/values", "phase_sign", np.nan, ["phase_sign"]),
        ("measurement/values", "permittivity", -1.0, ["permittivity"]),
        ("measurement/values", "permittivity", np.ones(2), ["permittivity"]),
        ("reconstruction/pnp", "parameters", np.bytes_("{broken"), ["reconstruction/pnp", "parameters", "JSON"]),
        ("reconstruction/pnp", "parameters", np.bytes_("[" * 5000), ["reconstruction/pnp", "parameters", "JSON"]),
        ("reconstruction/pnp", "parameters", np.bytes_("[1]"), ["reconstruction/pnp", "parameters", "object"]),
        ("reconstruction/pnp", "seconds", np.ones(2), ["reconstruction/pnp", "seconds", "(2,)", "(6,)"]),
        ("reconstruction/pnp", "iterations", 1.5, ["reconstruction/pnp", "iterations"]),
    ],
)
def test_a_wrong_attribute_is_named(saved, owner, name, value, words):
    with h5py.File(saved, "r+") as file:
        file[owner].attrs[name] = value
    refused(saved, *words)


@pytest.mark.parametrize(
    ("name", "edit", "words", "saved"),
    [
        ("sweep/freq", lambda a: a[::-1], ["sweep/freq", "ascending"], False),
        ("sweep/freq", lambda a: a / 1e9, ["sweep/freq", "1 kHz"], False),
        ("grid/y", lambda a: a[::-1], ["grid/y", "ascending"], False),
        ("array/tx_normal", lambda a: a * 0, ["array/tx_normal"], False),
        ("array/channels", lambda a: a + 2, ["array/channels[0]"], True),
        ("array/channels", lambda a: a.astype("i8") + 2**32, ["array/channels"], True),
        ("array/mask", lambda a: a.astype("i4") + 1, ["array/mask"], False),
        ("calibration/gain", lambda a: a * 0, ["calibration/gain"], False),
    ],
    indirect=["saved"],
)
def test_a_wrong_value_is_named(saved, name, edit, words):
    change(saved, name, edit)
    with pytest.raises(FileError) as caught:
        validate(saved)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("text", ["[{broken", "{}", '["gate"]', '[{"step": 3}]', "[" * 5000])
def test_steps_that_are_no_list_of_steps_are_refused(saved, text):
    with h5py.File(saved, "r+") as file:
        del file["preparation/steps"]
        file["preparation/steps"] = np.bytes_(text.encode())
    refused(saved, "preparation/steps")


def test_the_message_says_what_was_expected_and_why():
    field = next(f for f in FIELDS if f.path == "measurement/values")
    with pytest.raises(UnfitError) as caught:
        check_shape(field, (15, 13, 12), {"n_tx": 12, "n_rx": 13, "n_freq": 15})
    message = "measurement/values has shape (15, 13, 12), array has 12 tx and 13 rx: expected (n_scene, 15, 12, 13)"
    assert str(caught.value).startswith(message)
    assert "scene axis" in str(caught.value)


def test_every_dataset_says_its_unit_and_meaning(saved):
    with h5py.File(saved) as file:
        for field in FIELDS:
            if place(field) in file:
                assert file[place(field)].attrs["unit"] == field.unit
                assert file[place(field)].attrs["description"] == field.meaning


def test_the_table_is_printed_whole():
    printed = markdown_table()
    assert all(f"`/{field.path}`" in printed and field.meaning in printed for field in FIELDS)
    assert all(f"`{a.name}`" in printed for a in ATTRIBUTES)


def test_the_error_survives_a_trip_between_processes_in_one_line():
    error = FileError("a\nb.h5", "sweep/freq\x1b[0m is bad: expected good")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert str(again) == str(error) == "a b.h5: sweep/freq?[0m is bad: expected good"
    assert again.path == error.path


def test_text_attributes_as_h5py_writes_them_are_read(saved):
    """A user's own program writes variable-length strings; the program itself writes fixed-length ones."""
    with h5py.File(saved, "r+") as file:
        file.attrs["schema"] = "mimo-imaging"
        file["array"].attrs["name"] = "Kreuz \u00e4hnlich"
    assert load(saved).array.name == "Kreuz \u00e4hnlich"


@pytest.mark.parametrize("sides", ["", "tx", "tx,rx"])
def test_a_file_has_the_lowest_version_that_says_what_is_in_it(tmp_path, monkeypatch, sides):
    """A reader that knows nothing of antennas far away refuses them, and reads all else."""
    measurement = make_measurement()
    far = {f"{side}_far": True for side in sides.split(",") if side}
    measurement = replace(measurement, array=replace(measurement.array, **far))
    path = tmp_path / "a.h5"
    save(path, measurement)
    with h5py.File(path) as file:
        assert file.attrs["schema_version"] == (2 if sides else 1)
        assert ("far" in file["array"].attrs) == bool(sides)
    assert load(path).array == measurement.array
    monkeypatch.setattr(reader, "SCHEMA_VERSION", 1)
    if sides:
        refused(path, "schema_version is 2", "expected 1 or lower, update the program")
    else:
        load(path)
