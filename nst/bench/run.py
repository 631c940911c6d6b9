"""`python -m nst bench`: time and memory per step, compared with the machine's peak and with plain programs.

Each contender runs in its own process (`contenders`).  They take turns, so that other load affects all of them alike.
This process imports nothing heavy.
"""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nst import machine

NETWORKS, PRECISIONS, SIZES = ("compact", "vgg19"), ("float32", "bfloat16"), (128, 256, 512, 1024)
TURNS, QUICK_TURNS = 4, 3  # after a first one that includes compilation
COLUMNS = ("network", "precision", "size", "s/step", "memory GB", "of peak", "plain s", "ratio", "torch s", "ratio")
LEGEND = """\
s/step: the fastest of {turns} turns of at least 0.6 s each; the programs alternate, and other load can only add time.
memory: peak memory of the process, with TensorFlow and weights; on a GPU, peak memory that TensorFlow used there.
of peak: floating-point operations per second of the convolutions and style statistics (forward and gradient), relative
  to the fastest matrix product or large convolution in this run: {peaks}.
  It can exceed 100 %: on CPUs, Winograd's algorithm saves most multiplications of wide convolutions, and in large
  pictures the first style layers are subsampled.
plain: the same network and size as Keras' and TensorFlow's tutorials write it, float32, one scale; ratio: plain / ours.
  Ours adds a margin of up to {margin} pixels on each side and averages its pictures; the plain program does neither.
torch: the same in eager PyTorch, in the row's precision; ratio: torch / ours.{missing}
{notes}"""


@dataclass(frozen=True)
class Row:
    """One network in one precision at one size; None where nothing was measured."""

    network: str
    precision: str
    size: int  # side of a square, in pixels
    seconds_per_step: float | None = None  # the fastest turn
    median_seconds_per_step: float | None = None
    peak_memory_bytes: int | None = None
    flops_per_step: int | None = None
    peak_flops_per_second: float | None = None
    fraction_of_peak: float | None = None
    baseline_seconds_per_step: float | None = None  # the plain Keras program, float32
    ratio_to_baseline: float | None = None
    torch_seconds_per_step: float | None = None
    ratio_to_torch: float | None = None
    weights: str | None = None  # "in the package", "ImageNet" or "random" (of the same shape)
    error: str | None = None
    machine: str = ""


class Contender:
    """A process of `nst.bench.contenders` that runs one timed burst, a turn, for each call of `take_turn`.

    Attributes:
        turns: the results, seconds per step; of the kind "peak", floating-point operations per second.
        error: why it failed, or None; a failed process takes no more turns.
    """

    def __init__(self, **spec: Any):
        """`spec` are the arguments of `contenders.contender`."""
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nst.bench.contenders", json.dumps(spec)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.error: str | None = None
        self.turns: list[float] = []

    def info(self) -> dict[str, Any]:
        """What the process reports about itself once it is ready; empty if it failed."""
        return self._receive()

    def take_turn(self, record: bool = True) -> None:
        """Run one turn and append its result to `turns`; `record=False` for a first turn that includes compilation."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            print(file=self._process.stdin, flush=True)
        if (turn := self._receive().get("turn")) and record:
            self.turns.append(turn)

    def finish(self) -> int | None:
        """End the process; returns its peak memory in bytes."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        peak = self._receive().get("memory")
        self.kill()
        return peak

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def _receive(self) -> dict[str, Any]:
        if self.error:
            return {}
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        message = json.loads(line) if line else {"error": "its process was killed, perhaps for lack of memory"}
        self.error = message.get("error")
        return message


def run(options: Any) -> int:
    """Print a table, or with `--json` a line per row.  Returns the exit code."""
    host = machine.describe(("tensorflow", "keras", "torch"))
    if hasattr(os, "getloadavg"):
        host += f"; load {os.getloadavg()[0]:.1f} before the start"
    turns = options.turns or (QUICK_TURNS if options.quick else TURNS)
    peaks, info = _measure_peaks(options.precisions or (("auto",) if options.quick else PRECISIONS), turns // 2 or 1)
    precisions = tuple(peaks)
    if info.get("gpu"):
        host += f"; GPU: {info['gpu']}"
    sizes = options.sizes or ((512,) if options.quick else SIZES)
    torch = not options.quick and importlib.util.find_spec("torch") is not None
    rows = []
    if not options.json:
        print(host, table_row(COLUMNS), sep="\n", flush=True)
    for network in options.networks or NETWORKS:
        for size in sizes:
            for row in measure(network, precisions, size, turns=turns, peaks=peaks, torch=torch, host=host):
                rows.append(row)
                print(json.dumps(asdict(row)) if options.json else table_row(cells(row)), flush=True)
    if not options.json:
        print(legend(rows, peaks, turns, torch=torch))
    return 0 if any(row.seconds_per_step for row in rows) else 1


def measure(
    network: str,
    precisions: Sequence[str],
    size: int,
    *,
    turns: int,
    peaks: dict[str, float],
    torch: bool,
    host: str,
    start: Callable[..., Any] = Contender,
) -> Iterator[Row]:
    """Measure one network at one size; all contenders alternate."""
    keys = [("ours", precision) for precision in precisions] + [("keras", "float32")]
    keys += [("torch", precision) for precision in precisions if torch]
    with contextlib.ExitStack() as stack:
        contenders = {}
        for kind, precision in keys:
            contender = start(kind=kind, network=network, precision=precision, size=size)
            stack.callback(contender.kill)
            contenders[kind, precision] = contender
        info = {key: contender.info() for key, contender in contenders.items()}
        for turn in range(-1, turns):
            for contender in contenders.values():
                contender.take_turn(record=turn >= 0)
        memory = {key: contender.finish() for key, contender in contenders.items()}

    def seconds(kind: str, precision: str) -> float | None:
        contender = contenders.get((kind, precision))
        return min(contender.turns, default=None) if contender else None

    for precision in precisions:
        ours, plain = seconds("ours", precision), seconds("keras", "float32")
        torch_seconds = seconds("torch", precision)
        turns_taken, reported = contenders["ours", precision].turns, info["ours", precision]
        peak, flops = peaks.get(precision), reported.get("flops")
        failed = {
            kind: contender.error
            for (kind, dtype), contender in contenders.items()
            if (dtype == precision or kind == "keras") and contender.error
        }
        yield Row(
            network,
            precision,
            size,
            seconds_per_step=ours,
            median_seconds_per_step=statistics.median(turns_taken) if turns_taken else None,
            peak_memory_bytes=memory["ours", precision],
            flops_per_step=flops,
            peak_flops_per_second=peak,
            fraction_of_peak=flops / ours / peak if flops and ours and peak else None,
            baseline_seconds_per_step=plain,
            ratio_to_baseline=plain / ours if plain and ours else None,
            torch_seconds_per_step=torch_seconds,
            ratio_to_torch=torch_seconds / ours if torch_seconds and ours else None,
            weights=reported.get("weights"),
            error="; ".join(f"{kind}: {error}" for kind, error in failed.items()) or None,
            machine=host,
        )


def _measure_peaks(precisions: Sequence[str], turns: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Peak floating-point operations per second by precision, 0 if it failed; and what the processes reported.

    "auto" is the precision of a run whose settings leave it open.
    """
    contenders = {precision: Contender(kind="peak", precision=precision) for precision in precisions}
    info: dict[str, Any] = {}
    for precision in precisions:
        info |= contenders[precision].info()
        if precision == "auto":
            contenders[info.get("precision", "float32")] = contenders.pop("auto")
    for _ in range(turns):
        for contender in contenders.values():
            contender.take_turn()
    for contender in contenders.values():
        contender.finish()
    return {precision: max(contender.turns, default=0.0) for precision, contender in contenders.items()}, info


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in the order of COLUMNS; – where nothing was measured."""

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else form.format(value)

    gigabytes = row.peak_memory_bytes and row.peak_memory_bytes / 1e9
    return (
        row.network,
        row.precision,
        str(row.size),
        number(row.seconds_per_step, "{:.3f}"),
        number(gigabytes, "{:.2f}"),
        number(row.fraction_of_peak, "{:.0%}"),
        number(row.baseline_seconds_per_step, "{:.3f}"),
        number(row.ratio_to_baseline, "{:.1f}"),
        number(row.torch_seconds_per_step, "{:.3f}"),
        number(row.ratio_to_torch, "{:.1f}"),
    )


def table_row(cells: Sequence[str]) -> str:
    """A row in Markdown, to be pasted into a README."""
    widths = (7, 9, 4, 6, 9, 7, 7, 5, 7, 5)
    return "| " + " | ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def legend(rows: Sequence[Row], peaks: dict[str, float], turns: int, *, torch: bool) -> str:
    """Explain the columns, and what was not measured."""
    from nst.settings import Settings

    rates = ", ".join(f"{precision} {peak / 1e12:.2f} TFLOP/s" for precision, peak in peaks.items() if peak)
    missing = "" if torch else "  Not measured: PyTorch is not installed, or --quick was given."
    notes = sorted({f"weights of {row.network}: {row.weights}." for row in rows if row.weights})
    if any(row.weights == "random" for row in rows):
        notes.append("(ImageNet's are not on this machine; random ones of the same shape take as long.)")
    notes += [f"{row.network} {row.precision} {row.size}: {row.error}" for row in rows if row.error]
    margin = Settings().padding
    return LEGEND.format(turns=turns, peaks=rates, margin=margin, missing=missing, notes="\n".join(notes))
