"""What this machine is, and how much of its memory this process has taken.  Standard library only."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def describe(packages: Sequence[str]) -> str:
    """One line: system, cores, processor, versions of Python and of those packages that are installed."""
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        # TensorFlow without kernels for GPUs has a name of its own.
        found = [version for name in (package, f"{package}-cpu") if (version := _version(name))]
        versions.append(f"{package} {found[0]}" if found else f"no {package}")
    return f"{platform.system()} {platform.machine()}, {cores()} cores ({_processor()}); {', '.join(versions)}"


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; None where the system does not say (Windows)."""
    with contextlib.suppress(OSError):  # Linux; what `getrusage` tells there begins with the parent's peak
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def is_offline() -> bool:
    """Whether NST_OFFLINE forbids every download."""
    return os.environ.get("NST_OFFLINE", "0") not in ("", "0")


def gpus() -> list[tuple[str, int]]:
    """(name, bytes of memory) of each NVIDIA GPU that the driver sees and this process may use; 0 if unknown."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return []
    asked = "nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rpartition(",") for line in told.splitlines())
    return [(name.strip(), int(size) << 20 if size.strip().isdigit() else 0) for name, _, size in rows if name.strip()]


def cores() -> int | None:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown processor"
    pairs = (line.partition(":") for line in text.splitlines())
    facts = {name.strip(): fact.strip() for name, _, fact in pairs}
    special = [name for name in ("amx_bf16", "avx512_bf16") if name in facts.get("flags", "").split()]
    return " with ".join([facts.get("model name", "unknown processor"), *special[:1]])
