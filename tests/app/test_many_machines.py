"""The examples of docs/many-machines.md: Slurm with a stand-in for its commands, ssh against a server on loopback."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from clusters import ROOT, environment
from test_command_line import SMALL, good

from mimo import data

PAGE = (ROOT / "docs" / "many-machines.md").read_text()


def documented(name):
    """The Python program that stands after a mark in the page."""
    return re.search(rf"<!-- tested: {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path):
    """Where the examples find out/scenes.h5: scenes for three shards."""
    (tmp_path / "out").mkdir()
    good("synth", tmp_path / "out" / "scenes.h5", "--n", 130, "--shard-size", 200, *SMALL, "--quiet")
    return tmp_path


def run(program, folder, **more):
    (folder / "program.py").write_text(program)
    command = [sys.executable, str(folder / "program.py")]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env={**environment(), **more}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert data.load_reconstructions(folder / "out" / "images.h5")["tikhonov"].n_scene == 130
    assert len(list((folder / "out" / "images-shards").iterdir())) == 3


SBATCH = """#!/bin/sh
cp "$1" {folder}/job-$$.sh
setsid sh "$1" > {folder}/job-$$.log 2>&1 &
echo $! >> {folder}/jobs
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_slurm_through_dask_jobqueue(folder):
    """The scripts that would be submitted are run at once."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install mimo-imaging[cluster]")
    (folder / "bin").mkdir()
    for name, text in (
        ("sbatch", SBATCH.format(folder=folder)),
        ("scancel", '#!/bin/sh\nkill "$@" 2>/dev/null || true\n'),
    ):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    program = documented("slurm").replace("jobs=20", "jobs=2")
    try:
        run(program, folder, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
    finally:
        for number in (folder / "jobs").read_text().split() if (folder / "jobs").exists() else []:
            subprocess.run(["kill", "-9", f"-{number}"], capture_output=True)
    scripts = [path.read_text() for path in folder.glob("job-*.sh")]
    assert len(scripts) == 2
    for script in scripts:
        for line in ("#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G", "#SBATCH -t 04:00:00", "--nthreads 1"):
            assert line in script


@contextmanager
def ssh_server(folder):
    """A server on loopback that lets one key in and runs what it is told; yields its port and the key's file."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    key.write_public_key(folder / "key.pub")
    host = asyncssh.generate_private_key("ssh-ed25519")
    loop, found, ended = asyncio.new_event_loop(), {}, []

    async def work(process):
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        ended.append(child)
        await process.redirect(stdout=child.stdout, stderr=child.stderr)
        process.exit(await child.wait())

    async def serve():
        server = await asyncssh.create_server(
            lambda: asyncssh.SSHServer(),
            "127.0.0.1",
            0,
            server_host_keys=[host],
            authorized_client_keys=str(folder / "key.pub"),
            process_factory=work,
        )
        found["port"] = server.sockets[0].getsockname()[1]

    loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found["port"], folder / "key"
    finally:
        for child in ended:
            subprocess.run(["kill", "-9", f"-{child.pid}"], capture_output=True)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a server that is stopped in the middle
def test_ssh(folder):
    pytest.importorskip("asyncssh", reason="asyncssh is not installed: pip install mimo-imaging[cluster]")
    program = (
        documented("ssh")
        .replace('["node0", "node1", "node2"]', '["127.0.0.1"] * 3')
        .replace('"n_workers": 8', '"n_workers": 1')
    )
    assert program != documented("ssh")
    with ssh_server(folder) as (port, key):
        options = f'{{"port": {port}, "client_keys": ["{key}"], "known_hosts": None, "username": "me"}}'
        program = program.replace(
            "worker_options=", f"remote_python={sys.executable!r}, connect_options={options}, worker_options="
        )
        run(program, folder)
