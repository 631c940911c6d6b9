"""nst.machine: cores, versions, memory, and the GPUs that a driver tells of."""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from nst import machine


def test_a_line_for_people():
    line = machine.describe(("numpy", "no-such-package"))
    assert (
        f"{machine.cores()} cores (" in line
        and f"numpy {np.__version__}" in line
        and line.endswith("no no-such-package")
    )


def test_tensorflow_for_cpus_alone_is_tensorflow(monkeypatch):
    monkeypatch.setattr(machine, "_version", {"tensorflow-cpu": "2.99"}.get)
    assert machine.describe(("tensorflow",)).endswith(", tensorflow 2.99")


def test_memory_is_counted_in_bytes():
    peak = machine.peak_memory()
    assert peak is None if sys.platform == "win32" else peak > 10 << 20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say.")
def test_a_parents_memory_is_not_ours():
    held = b"x" * (200 << 20)
    program = "from nst.machine import peak_memory; print(peak_memory())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 1 << 20 < int(told) < len(held)


@pytest.mark.parametrize(
    ("told", "gpus"),
    [
        ("NVIDIA H200, 143771\n", [("NVIDIA H200", 143771 << 20)]),
        ("Tesla T4, 15360\nTesla T4, 15360\n", 2 * [("Tesla T4", 15360 << 20)]),
        ("NVIDIA A100, [N/A]\n", [("NVIDIA A100", 0)]),
        ("", []),
    ],
)
def test_gpus_are_the_drivers(monkeypatch, told, gpus):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=told))
    assert machine.gpus() == gpus
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.gpus() == []


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("nvidia-smi", 10)])
def test_no_driver_no_gpus(monkeypatch, error):
    def run(*_, **__):
        raise error

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    assert machine.gpus() == []


@pytest.mark.parametrize(
    ("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)], ids=["Turing", "Ampere", "Hopper"]
)
def test_bfloat16_on_gpus(monkeypatch, capability, fast):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": capability})
    assert machine.has_fast_bfloat16() is fast


AMX, AVX512, NEITHER = {"amx_bf16", "avx512_bf16", "avx2"}, {"avx512_bf16", "avx2"}, {"avx2"}


@pytest.mark.parametrize(
    ("limit", "flags"),
    [
        ("", AMX),
        ("DEFAULT", AMX),
        ("AVX512_CORE_AMX", AMX),
        ("avx512_core_fp16", AVX512),
        ("AVX512_CORE_BF16", AVX512),
        ("AVX512_CORE", NEITHER),
        ("AVX2", NEITHER),
    ],
)
def test_what_onednn_must_not_use_is_not_there(monkeypatch, limit, flags):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(machine, "_cpu_info", lambda: {"model name": "A CPU", "flags": "avx2 avx512_bf16 amx_bf16"})
    assert machine.cpu_flags() == flags
    assert machine.has_fast_bfloat16() is (flags != NEITHER)
    assert ("with amx_bf16" in machine.describe(())) is (flags == AMX)


def test_where_linux_tells_nothing_bfloat16_is_not_fast(monkeypatch):
    monkeypatch.setattr(machine, "_cpu_info", dict)
    assert machine.cpu_flags() == set() and not machine.has_fast_bfloat16()
    assert f"({platform.processor() or 'unknown processor'})" in machine.describe(())


def test_a_home_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.expand_home("~/.cache") == tmp_path / ".cache"
    assert machine.expand_home("here/~") == Path("here/~")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user whom the system does not know
    assert machine.expand_home("~/.cache") == Path(tempfile.gettempdir(), ".cache")
    assert machine.expand_home("~somebody/pictures") == Path("~somebody/pictures")


def test_keras_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.keras_home() == tmp_path / ".keras"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "models"))
    assert machine.keras_home() == tmp_path / "models"


def test_a_foreign_backend_does_not_matter(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    machine.import_tensorflow()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("error", ["ValueError('Invalid epsilon')", "AssertionError"])
def test_settings_that_keras_refuses_are_told_with_their_file(monkeypatch, tmp_path, error):
    (tmp_path / "keras.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"does not accept the settings in .*keras\.json; correct or delete"):
        machine.import_tensorflow()
