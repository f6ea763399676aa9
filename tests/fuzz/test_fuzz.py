"""A share of ``make fuzz``: damaged files of every format are read, or refused in one line, by the commands."""

import os
import signal

import fuzz
import numpy as np
import pytest
from damage import damaged

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
SHARE = 100


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    assert fuzz.run_cases(list(range(SHARE)), 1, tmp_path) == {}


def test_a_case_is_the_same_in_every_run():
    content = b"x = [1, 2, 3]\n" * 20
    first, again, other = (damaged(content, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other != content


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda words: os.kill(os.getpid(), signal.SIGSEGV), "ended with status -11"),
        (lambda words: signal.pause(), "no end after"),
        (lambda words: (_ for _ in ()).throw(KeyError("raw")), "KeyError: 'raw'"),
        (lambda words: (_ for _ in ()).throw(SystemExit(1)), "exit code 1"),
        (lambda words: (_ for _ in ()).throw(SystemExit(2)), "0 lines"),
    ],
    ids=["crash", "hang", "traceback", "failure", "silence"],
)
def test_the_driver_finds_what_it_is_for(tmp_path, monkeypatch, does, said):
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    monkeypatch.setattr(fuzz, "main", does)
    found = fuzz.run_cases([3, 4], 1, tmp_path)
    assert list(found) == [3, 4]
    assert all(said in text for text in found.values())
