"""A package of an extra that is absent is named in one line, with the extra that brings it."""

import pickle
import sys

import pytest

from mimo.data.jobs import cluster
from mimo.extras import MissingExtraError, missing, needed


def test_what_is_there_is_imported():
    import json.decoder

    assert needed("json.decoder", "math", purpose="this", extra="any") is json.decoder


def test_the_line_names_packages_and_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError) as caught:
        needed("cv2", purpose="a film", extra="export")
    assert str(caught.value) == "a film needs opencv-python-headless: pip install 'mimo-imaging[export]'"
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, ValueError)  # which the command line prints without the name of a class
    with pytest.raises(MissingExtraError, match="needs json and cv3: pip"):
        needed("json.decoder", "cv3", purpose="a film", extra="export")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_a_package_that_is_there_but_does_not_load_says_why():
    broken = ImportError("libGL.so.1: cannot open shared object file")
    assert str(missing("it", "cv2", extra="export", error=broken)).endswith(
        "(import failed: libGL.so.1: cannot open shared object file)"
    )


def test_without_dask_there_is_one_process(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cluster.automatic_workers(10_000, 157, 64) == 1
    for options in ({"workers": 2, "scheduler": None}, {"workers": 1, "scheduler": "tcp://127.0.0.1:1"}):
        with pytest.raises(
            MissingExtraError, match=r"needs dask and distributed: pip install 'mimo-imaging\[cluster\]'"
        ):
            cluster.run_tasks([None, None], **options, advance=print)


def test_without_starlette_the_viewer_says_so(monkeypatch, tmp_path, capsys):
    from mimo.commands import main

    for name in [name for name in sys.modules if name == "mimo.viewer.server" or name.split(".")[0] == "starlette"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(SystemExit) as ended:
        main(["view", str(tmp_path / "none.h5")])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "mimo: mimo view needs starlette and uvicorn: pip install 'mimo-imaging[view]'\n"
