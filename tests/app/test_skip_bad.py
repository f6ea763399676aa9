"""One damaged scene is named, and with --skip-bad it holds up none of the others."""

import numpy as np
import pytest
from click.testing import CliRunner
from viewer_samples import make_file, spoil

from mimo.commands.command_line import cli, main
from mimo.data import FileError, damage_of, load, load_reconstructions, save
from mimo.data.files.soundness import load_sound
from mimo.data.history import History
from mimo.recon import reconstruct
from mimo.recon.files import reconstruct_file

VALUES = "measurement/values"


@pytest.fixture
def spoiled(tmp_path):
    """Six scenes without images, two of which are damaged."""
    path = make_file(tmp_path / "a.h5", n_scene=6, images={})
    spoil(path, VALUES, (1, 3, 1, 0), np.nan)
    return spoil(path, "truth/reflectivity", (4, 0, 1, 2), np.inf)


def test_a_damaged_scene_is_named_with_what_goes_on_without_it(spoiled):
    with pytest.raises(FileError, match=r"a\.h5: measurement/values is nan at index \(1, 3, 1, 0\), scene 1: .*--skip"):
        reconstruct_file(spoiled, spoiled.with_name("b.h5"), ["kirchhoff"])
    assert not spoiled.with_name("b.h5").exists()
    spoil(spoiled, VALUES, (5, 0, 0, 0), np.nan)
    problems, _ = damage_of(spoiled)
    assert len(problems) == 2
    assert "scene 1" in problems[0] and problems[0].endswith("so are others, scene 5")
    assert "truth/reflectivity is infinite" in problems[1]


@pytest.mark.parametrize("options", [[], ["--shard-size", "2", "--workers", "1"]])
def test_the_other_scenes_are_reconstructed(spoiled, options, tmp_path):
    out = tmp_path / "images.h5"
    command = ["reconstruct", str(spoiled), str(out), "--method", "kirchhoff", "--skip-bad", "--quiet", *options]
    with pytest.warns(RuntimeWarning, match=r"scenes 1, 4 of 6 left out: measurement/values is nan"):
        assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    sound = [0, 2, 3, 5]
    good = load(spoiled, scenes=sound)
    found = load(out)
    np.testing.assert_array_equal(found.values, good.values)
    np.testing.assert_array_equal(found.truth, good.truth)
    assert found.steps[-1] == {"step": "leave out bad scenes", "scenes": [1, 4]}
    expected = reconstruct("kirchhoff", good)
    image = load_reconstructions(out)["kirchhoff"].image
    np.testing.assert_allclose(image, expected.image, rtol=0, atol=1e-5 * np.abs(expected.image).max())
    assert len({tuple(each.ravel()[:9]) for each in image}) == 4


def test_a_run_with_damaged_scenes_is_taken_up_again(spoiled, tmp_path):
    out = tmp_path / "images.h5"
    command = [
        "reconstruct",
        spoiled,
        out,
        "--method",
        "kirchhoff",
        "--skip-bad",
        "--quiet",
        "--shard-size",
        "2",
        "--workers",
        "1",
    ]
    with pytest.warns(RuntimeWarning, match="left out"):
        CliRunner().invoke(cli, list(map(str, command)), catch_exceptions=False)
    shard = tmp_path / "images-shards/shard-00000.h5"
    before = shard.stat().st_mtime_ns
    with pytest.warns(RuntimeWarning, match="left out"):
        CliRunner().invoke(cli, list(map(str, command)), catch_exceptions=False)
    assert shard.stat().st_mtime_ns == before


def test_images_of_other_methods_keep_their_scenes_and_histories(tmp_path):
    path = make_file(tmp_path / "a.h5", n_scene=5)
    spoil(path, VALUES, (2, 0, 0, 0), np.nan)
    with pytest.warns(RuntimeWarning, match="scene 2 of 5"):
        reconstruct_file(path, tmp_path / "b.h5", ["kirchhoff"], skip_bad=True)
    before, after = load_reconstructions(path), load_reconstructions(tmp_path / "b.h5")
    assert list(after) == ["alpha", "beta", "kirchhoff"]
    sound = [0, 1, 3, 4]
    np.testing.assert_array_equal(after["alpha"].image, before["alpha"].image[sound])
    np.testing.assert_array_equal(after["alpha"].seconds, before["alpha"].seconds[sound])
    old, new = (History.from_json(made["alpha"].history) for made in (before, after))
    assert [new.curves(i) for i in range(4)] == [old.curves(scene) for scene in sound]


def test_the_file_that_holds_the_damaged_scenes_is_never_replaced(spoiled):
    before = spoiled.read_bytes()
    with pytest.warns(RuntimeWarning, match="left out"), pytest.raises(FileError, match="would lose its damaged"):
        reconstruct_file(spoiled, spoiled, ["kirchhoff"], skip_bad=True)
    assert spoiled.read_bytes() == before


def test_a_file_whose_scenes_are_all_damaged_is_refused(tmp_path):
    path = make_file(tmp_path / "a.h5", images={})
    for scene in range(3):
        spoil(path, VALUES, (scene, 0, 0, 0), np.nan)
    with pytest.raises(FileError, match="none of 3 scenes is sound"):
        load_sound(path)


def test_a_sound_file_loses_nothing(tmp_path):
    path = make_file(tmp_path / "a.h5", images={})
    assert load_sound(path).steps == load(path).steps
    reconstruct_file(path, tmp_path / "b.h5", ["kirchhoff"], skip_bad=True)
    reconstruct_file(path, tmp_path / "c.h5", ["kirchhoff"])
    np.testing.assert_array_equal(load(tmp_path / "b.h5").values, load(tmp_path / "c.h5").values)


def test_prepare_leaves_damaged_scenes_out(spoiled, tmp_path):
    out = tmp_path / "ready.h5"
    refused = CliRunner().invoke(cli, ["prepare", str(spoiled), str(out), "--every", "2"])
    assert "scene 1" in str(refused.exception)
    with pytest.warns(RuntimeWarning, match="left out"):
        CliRunner().invoke(
            cli, ["prepare", str(spoiled), str(out), "--every", "2", "--skip-bad"], catch_exceptions=False
        )
    found = load(out)
    assert [step["step"] for step in found.steps] == ["leave out bad scenes", "select frequencies"]
    np.testing.assert_array_equal(found.values, load(spoiled, scenes=[0, 2, 3, 5]).values[:, ::2])


def test_scores_are_of_the_sound_scenes(tmp_path, capsys):
    path = make_file(tmp_path / "a.h5", n_scene=4)
    whole = tmp_path / "whole.h5"
    measurement, images = load(path, scenes=[0, 1, 3]), load_reconstructions(path, scenes=[0, 1, 3])
    save(whole, measurement, reconstructions=list(images.values()))
    spoil(path, "reconstruction/alpha/reflectivity", (2, 0, 0, 0), np.nan)
    expected = CliRunner().invoke(cli, ["evaluate", str(whole), "--json"], catch_exceptions=False).output
    with pytest.warns(RuntimeWarning, match="scene 2 of 4 left out: reconstruction/alpha"):
        told = CliRunner().invoke(cli, ["evaluate", str(path), "--json", "--skip-bad"], catch_exceptions=False)
    assert told.output == expected
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(path)])
    assert end.value.code == 2
    assert "scene 2" in capsys.readouterr().err
