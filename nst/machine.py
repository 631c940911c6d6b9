"""Facts about this machine: processor, GPUs, bfloat16 support, peak memory of this process.

Standard library only, except where TensorFlow is asked about GPUs.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

BFLOAT16_FLAGS = "amx_bf16", "avx512_bf16"  # the faster one first
# Values of ONEDNN_MAX_CPU_ISA that disable both of them, or only the first.
NO_BFLOAT16 = "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"
NO_AMX = "AVX512_CORE_BF16", "AVX512_CORE_FP16"


def describe(packages: Sequence[str]) -> str:
    """One line: system, cores, processor, and the versions of Python and the given packages."""
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        # The TensorFlow build without GPU support is a package of its own.
        found = [version for name in (package, f"{package}-cpu") if (version := _version(name))]
        versions.append(f"{package} {found[0]}" if found else f"no {package}")
    return f"{platform.system()} {platform.machine()}, {cores()} cores ({_processor()}); {', '.join(versions)}"


def peak_memory() -> int | None:
    """Peak memory of this process, in bytes; None where the system does not report it (Windows)."""
    with contextlib.suppress(OSError):  # Linux; its `getrusage` would include the parent's peak
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what is written to file descriptor 2: libraries in C++ write there, unasked."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def is_offline() -> bool:
    """Whether NST_OFFLINE forbids every download."""
    return os.environ.get("NST_OFFLINE", "0") not in ("", "0")


def expand_home(path: str) -> Path:
    """Expand a leading ~/; for a user without a home, to the system's temporary folder."""
    expanded = os.path.expanduser(path)
    return Path(tempfile.gettempdir(), expanded[2:]) if expanded.startswith("~/") else Path(expanded)


def keras_home() -> Path:
    """Keras' folder for settings and downloads, found as Keras does."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(folder)
    return Path(os.path.expanduser("~") if os.access(os.path.expanduser("~"), os.W_OK) else "/tmp", ".keras")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, for a process that is ours: whatever backend Keras is set to, it gets TensorFlow.

    TensorFlow imports Keras by itself, so what is wrong with Keras' settings stops networks that need no Keras, too.

    Raises:
        ValueError: Keras refuses its settings; one sentence that names their file.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import keras  # noqa: F401
    except (AssertionError, ValueError) as error:
        file = keras_home() / "keras.json"
        reason = str(error) or "a check fails"
        raise ValueError(f"Keras does not accept the settings in {file}; correct or delete it ({reason}).") from error


def gpus() -> list[tuple[str, int]]:
    """(name, bytes of memory, 0 if unknown) of each NVIDIA GPU that the driver sees and this process may use."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return []
    command = "nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rpartition(",") for line in output.splitlines())
    return [(name.strip(), int(size) << 20 if size.strip().isdigit() else 0) for name, _, size in rows if name.strip()]


def cores() -> int | None:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here: on a GPU since Ampere, or an x86 CPU with AMX or AVX512-BF16.

    Elsewhere TensorFlow rounds partial sums of products to bfloat16, which loses one of three digits.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (8, 0)
    return not cpu_flags().isdisjoint(BFLOAT16_FLAGS)


def is_compute_bound(precision: str) -> bool:
    """Whether arithmetic, not memory traffic, limits convolutions here: true on CPUs without AMX, false on GPUs."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return False
    return precision == "float32" or "amx_bf16" not in cpu_flags()  # AMX multiplies bfloat16 only


def cpu_flags() -> set[str]:
    """This CPU's instruction sets that TensorFlow may use, by their Linux names; empty on other systems."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    flags = set(_cpu_info().get("flags", "").split())
    if limit in NO_BFLOAT16:
        return flags.difference(BFLOAT16_FLAGS)
    return flags - {"amx_bf16"} if limit in NO_AMX else flags


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _cpu_info() -> dict[str, str]:
    """The last core's entry in /proc/cpuinfo; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _processor() -> str:
    name = _cpu_info().get("model name") or platform.processor() or "unknown processor"
    bfloat16 = [flag for flag in BFLOAT16_FLAGS if flag in cpu_flags()]
    return " with ".join([name, *bfloat16[:1]])
