"""A cluster of several machines, of which one fails: all are on this one.  `make soak` runs it."""

import os
import secrets
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.effort import SOAK
from tests.serving import HANG, free_port

pytest.importorskip("ray")
RUN = textwrap.dedent("""
    import os, signal, subprocess
    from nst import cluster
    from nst.settings import Settings

    pool = cluster.pool()
    processes = pool.processes()
    from nst.remote import ClusterStyleTransfer
    from tests import toy

    settings = Settings(network="compact", size=128, min_scale=128, steps=(300,))
    engine, killed = ClusterStyleTransfer(pool, settings), False
    for frame in engine.stylize(toy.picture(96, 128), [toy.picture(80, 80, seed=1)], settings, checkpoints=True):
        if frame.step >= 60 and not killed:
            painter = processes[[slot.busy for slot in pool._slots].index(True)]
            machine = subprocess.check_output(["ps", "-o", "ppid=", "-p", str(painter)], text=True)
            os.kill(int(machine), signal.SIGKILL)
            killed = True
    print(pool.size, killed, frame.step, frame.checkpoint.step)
""")


@pytest.fixture
def head(processes, monkeypatch):
    """The address of a cluster of three machines, of which the first does not paint."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    address = f"127.0.0.1:{free_port()}"
    ray = Path(sys.executable).with_name("ray")
    more = ["--block", "--disable-usage-stats", "--object-store-memory=100000000"]
    first = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false", "--num-cpus=0"]
    others = [f"--address={address}", "--num-cpus=2"]
    for arguments in (first, others, others):
        command = [ray, "start", *arguments, *more]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        if not any("Ray runtime started" in line for line in processes[-1].stdout):
            pytest.fail("Ray does not start.")
    yield address
    for process in reversed(processes):  # SIGKILL would leave what they have started
        process.terminate()
        process.communicate(timeout=HANG)


@pytest.mark.skipif(not SOAK, reason="`make soak` runs it")
def test_a_run_survives_the_machine_it_is_painted_on(head):
    environment = os.environ | {"NST_CLUSTER": head}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.stdout.split() == ["2", "True", "300", "300"], done.stderr
