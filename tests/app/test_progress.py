"""The bar of a method's run: what is prepared, then the scenes."""

import io
import re
import sys
import time

from mimo.commands import shared
from mimo.commands.shared import run_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch) -> Terminal:
    """Stand in for the standard error, from within a test: pytest sets it anew when a test is called."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_preparations_come_first_then_scenes(monkeypatch):
    screen = terminal(monkeypatch)
    with run_bar("l1", hidden=False) as shown:
        shown.preparing(0.5)
        shown.preparing(0.25)  # another one
        shown.progress(0.5, 2)
        shown.preparing(0.75)  # of the next group of scenes
        shown.progress(1.5, 2)
    seen = re.findall(r"(l1[^%]*?): +(\d+)%", screen.getvalue())
    order = [state for n, state in enumerate(seen) if state[1] != "0" and state not in seen[:n]]
    assert order == [("l1: preparing", "25"), ("l1", "25"), ("l1: preparing", "75"), ("l1", "75")]
    assert "of 2 scenes" in screen.getvalue()
    assert "-00" not in screen.getvalue()


def test_the_clock_ticks_while_nothing_is_told(monkeypatch):
    screen = terminal(monkeypatch)
    monkeypatch.setattr(shared, "TICK", 0.02)
    with run_bar("l1", hidden=False):
        time.sleep(0.3)
    assert screen.getvalue().count("l1: preparing") > 5


def test_nothing_is_shown_when_hidden(monkeypatch):
    screen = terminal(monkeypatch)
    with run_bar("l1", hidden=True) as shown:
        shown.preparing(0.5)
        shown.progress(1, 2)
    assert screen.getvalue() == ""
