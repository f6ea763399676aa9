"""Completion in shells: the script that is printed asks the program, and the program answers."""

import os
import shutil
import subprocess
import sys

import pytest

from mimo.commands import main


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_the_script_asks_the_program(shell, word, capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", shell])
    script = capsys.readouterr().out
    assert end.value.code == 0 and word in script and "_MIMO_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_the_program_answers():
    asked = {"_MIMO_COMPLETE": "bash_complete", "COMP_WORDS": "mimo reconstruct --meth", "COMP_CWORD": "2"}
    program = [sys.executable, "-c", "from mimo.commands import main; main()"]
    said = subprocess.run(program, env=os.environ | asked, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["plain,--method"]


def test_another_shell_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", "csh"])
    assert end.value.code == 2 and "'csh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err
