"""Give damaged files of every format to the commands that read them: each is read, or refused in one line.

``make fuzz`` runs 10,000 cases, ``python tests/fuzz/fuzz.py --case 123`` one of them again. A case is the same in every
run: it depends on its number and the seed alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mimo.commands.command_line import main

sys.path.append(str(Path(__file__).parents[1]))  # behind the program's own place: the tests have a folder mimo

from damage import damaged

from samples import Sample, write_samples

SECONDS = 60
"""Wall time that a case may take on a busy machine."""

GROWTH = 2**20
"""KiB by which a case may raise the largest memory of its process."""


def run_case(samples: list[Sample], seed: int, case: int, folder: Path) -> str | None:
    """Run a case in this process and return what is wrong with how the command ended, or ``None``."""
    rng = np.random.default_rng([seed, case])
    sample = samples[case % len(samples)]
    command = sample.commands[int(rng.integers(len(sample.commands)))]
    work = folder / f"case-{case}"
    shutil.copytree(sample.folder, work / "in")
    path = work / "in" / sample.file
    path.write_bytes(damaged(path.read_bytes(), rng))
    places = {"file": path, "folder": work / "in", "out": work / "out.h5"}
    words = [word.format(**places) for word in command]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said, code = io.StringIO(), None
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            main(words)
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        return f"{sample.name}: {' '.join(words)}: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        shutil.rmtree(work, ignore_errors=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    lines = [line for line in said.getvalue().splitlines() if line.startswith("mimo: ") and "warning" not in line]
    where = f"{sample.name}: {' '.join(words)}"
    if code not in (0, 2, None):
        return f"{where}: exit code {code}: {said.getvalue()[-400:]}"
    if "Traceback" in said.getvalue():
        return f"{where}: traceback: {said.getvalue()[-400:]}"
    if code == 2 and (len(lines) != 1 or len(lines[0]) < len("mimo: file: x")):
        return f"{where}: {len(lines)} lines: {said.getvalue()[-400:]}"
    if grown > GROWTH:
        return f"{where}: took {grown / 2**20:.1f} GiB"
    return None


class _LateError(BaseException):
    """Not caught by anything that catches errors."""


def _late(*_: object) -> None:
    raise _LateError(f"no end after {SECONDS} s")


def run_cases(cases: list[int], seed: int, folder: Path, workers: int = 1, wait: float = 2 * SECONDS) -> dict[int, str]:
    """Run cases in processes of their own, so that one that crashes or hangs is found, and return what is wrong.

    Parameters
    ----------
    cases
        Their numbers.
    seed
        Of the damages.
    folder
        An empty one.
    workers
        Processes at a time.
    wait
        Seconds without a sign of life after which a process is killed.
    """
    samples = write_samples(folder / "samples")
    problems: dict[int, str] = {}
    going = {}
    for number in range(workers):
        going[_begin(samples, cases[number::workers], seed, folder / f"worker-{number}")] = (
            cases[number::workers],
            number,
        )
    while going:
        time.sleep(0.05)
        for pid, (mine, number) in list(going.items()):
            log = folder / f"worker-{number}" / "log"
            done, status = os.waitpid(pid, os.WNOHANG)
            hangs = not done and time.time() - log.stat().st_mtime > wait
            if hangs:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if not (done or hangs):
                continue
            del going[pid]
            lines = log.read_text().splitlines()
            problems |= {int(case): text for case, _, text in (line.partition(" ") for line in lines) if text}
            if hangs or status:
                last = int(lines[-1].split(" ")[0]) if lines else mine[0]
                problems[last] = f"{samples[last % len(samples)].name}: " + (
                    "hangs" if hangs else f"the process ended with status {os.waitstatus_to_exitcode(status)}"
                )
                left = mine[mine.index(last) + 1 :]
                if left:
                    going[_begin(samples, left, seed, folder / f"worker-{number}")] = (left, number)
    return dict(sorted(problems.items()))


def _begin(samples: list[Sample], cases: list[int], seed: int, folder: Path) -> int:
    """Start a process that runs cases and writes a line for each into its log, first its number."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "log").touch()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        with (folder / "log").open("w") as log:
            for case in cases:
                log.write(f"{case}")
                log.flush()
                problem = run_case(samples, seed, case, folder)
                log.write(f" {' '.join(problem.split())}\n" if problem else "\n")
                log.flush()
        code = 0
    finally:
        os._exit(code)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--case", type=int, action="append", help="only this one; may be given several times")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    given = parse()
    cases = given.case or list(range(given.n))
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as made:
        os.environ.setdefault("MIMO_CACHE_DIR", str(Path(made, "cache")))
        found = run_cases(cases, given.seed, Path(made), given.workers)
    seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    for case, problem in found.items():
        print(f"case {case}: {problem}")
    print(
        f"{len(cases)} cases, {len(found)} problems, {len(cases) / seconds:.1f} a second, {busy / len(cases):.3f} CPU s each"
    )
    sys.exit(bool(found))
