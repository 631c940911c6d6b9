"""`python -m nst bench`: seconds and memory a step, against the machine's peak and against plain programs.

Each contender lives in a process of its own (`contenders`) and they step by turns, so that they meet the same weather.
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
TURNS, QUICK_TURNS = 4, 3  # the first steps turn, which waits for the compiler, is not among them
COLUMNS = ("network", "precision", "size", "s/step", "memory GB", "of peak", "plain s", "ratio", "torch s", "ratio")
LEGEND = """\
s/step: the fastest of {turns} turns of at least 0.6 s, the contenders by turns: other work on the machine can only add.
memory: the most that the process held, TensorFlow and weights with it; on a GPU, the most that TensorFlow took of it.
of peak: floating-point operations of a step's convolutions and statistics, forward and gradient to the picture, by
  s/step and by the most that a matrix product or a large convolution reached in this run: {peaks}.
  Counted as they are written: on a CPU ours spares most multiplications of wide convolutions (Winograd), and
  it looks at the first style layers of a large picture by quarters, so there may be more than 100 %.
plain: the same network and size as Keras' and TensorFlow's tutorials write it, float32, one scale; ratio: plain / ours.
  Ours sees up to {margin} pixels more on each side and keeps an average of its pictures; the plain one does neither.
torch: the same in eager PyTorch, in the row's precision; ratio: torch / ours.{absent}
{weights}"""


@dataclass(frozen=True)
class Row:
    """One network in one precision at one size; None is what was not measured."""

    network: str
    precision: str
    size: int  # pixels, of a square
    seconds_per_step: float | None = None  # the fastest turn
    median_seconds_per_step: float | None = None
    peak_memory_bytes: int | None = None
    flops_per_step: int | None = None
    peak_flops_per_second: float | None = None
    fraction_of_peak: float | None = None
    baseline_seconds_per_step: float | None = None  # of the plain Keras program, float32
    ratio_to_baseline: float | None = None
    torch_seconds_per_step: float | None = None
    ratio_to_torch: float | None = None
    weights: str | None = None  # "in the package", "ImageNet", or "random", of the same shape
    error: str | None = None
    machine: str = ""


class Contender:
    """A process that takes a turn when told to; once it has failed, its turns are None and `error` says why."""

    def __init__(self, **spec: Any):
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

    def facts(self) -> dict[str, Any]:
        """What it says of itself once it is ready; empty if it failed."""
        return self._hear()

    def take_turn(self, count: bool = True) -> None:
        """Let it take a turn; one that does not count is for the compiler."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            print(file=self._process.stdin, flush=True)
        if (turn := self._hear().get("turn")) and count:
            self.turns.append(turn)

    def finish(self) -> int | None:
        """End it; its peak memory in bytes."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        peak = self._hear().get("memory")
        self.kill()
        return peak

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def _hear(self) -> dict[str, Any]:
        if self.error:
            return {}
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        heard = json.loads(line) if line else {"error": "its process was killed, perhaps for want of memory"}
        self.error = heard.get("error")
        return heard


def run(options: Any) -> int:
    """The command: a table, or with `--json` a line for each row.  Returns the exit code."""
    here = machine.describe(("tensorflow", "keras", "torch"))
    if hasattr(os, "getloadavg"):
        here += f"; load {os.getloadavg()[0]:.1f} before the start"
    turns = options.turns or (QUICK_TURNS if options.quick else TURNS)
    peaks, facts = _peaks(options.precisions or (("auto",) if options.quick else PRECISIONS), turns // 2 or 1)
    precisions = tuple(peaks)
    if facts.get("gpu"):
        here += f"; GPU: {facts['gpu']}"
    sizes = options.sizes or ((512,) if options.quick else SIZES)
    torch = not options.quick and importlib.util.find_spec("torch") is not None
    rows = []
    if not options.json:
        print(here, table_row(COLUMNS), sep="\n", flush=True)
    for network in options.networks or NETWORKS:
        for size in sizes:
            for row in measure(network, precisions, size, turns=turns, peaks=peaks, torch=torch, here=here):
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
    here: str,
    contender: Callable[..., Any] = Contender,
) -> Iterator[Row]:
    """The rows of one network at one size, all contenders by turns."""
    keys = [("ours", precision) for precision in precisions] + [("keras", "float32")]
    keys += [("torch", precision) for precision in precisions if torch]
    with contextlib.ExitStack() as stack:
        field = {}
        for kind, precision in keys:
            started = contender(kind=kind, network=network, precision=precision, size=size)
            stack.callback(started.kill)
            field[kind, precision] = started
        facts = {key: each.facts() for key, each in field.items()}
        for turn in range(-1, turns):
            for each in field.values():
                each.take_turn(count=turn >= 0)
        memory = {key: each.finish() for key, each in field.items()}

    def seconds(kind: str, precision: str) -> float | None:
        each = field.get((kind, precision))
        return min(each.turns, default=None) if each else None

    for precision in precisions:
        ours, plain, eager = seconds("ours", precision), seconds("keras", "float32"), seconds("torch", precision)
        each, told = field["ours", precision], facts["ours", precision]
        peak, flops = peaks.get(precision), told.get("flops")
        failed = {
            kind: field[kind, of].error for kind, of in keys if of in (precision, "float32") and field[kind, of].error
        }
        yield Row(
            network,
            precision,
            size,
            seconds_per_step=ours,
            median_seconds_per_step=statistics.median(each.turns) if each.turns else None,
            peak_memory_bytes=memory["ours", precision],
            flops_per_step=flops,
            peak_flops_per_second=peak,
            fraction_of_peak=flops / ours / peak if flops and ours and peak else None,
            baseline_seconds_per_step=plain,
            ratio_to_baseline=plain / ours if plain and ours else None,
            torch_seconds_per_step=eager,
            ratio_to_torch=eager / ours if eager and ours else None,
            weights=told.get("weights"),
            error="; ".join(f"{kind}: {error}" for kind, error in failed.items()) or None,
            machine=here,
        )


def _peaks(precisions: Sequence[str], turns: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Floating-point operations a second that products reach in each precision, 0 if they fail; facts.

    "auto" is the precision that a run takes if its settings leave it open.
    """
    field = {precision: Contender(kind="peak", precision=precision) for precision in precisions}
    facts: dict[str, Any] = {}
    for precision in precisions:
        facts |= field[precision].facts()
        if precision == "auto":
            field[facts.get("precision", "float32")] = field.pop("auto")
    for _ in range(turns):
        for each in field.values():
            each.take_turn()
    for each in field.values():
        each.finish()
    return {precision: max(each.turns, default=0.0) for precision, each in field.items()}, facts


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in the order of COLUMNS; – is what was not measured."""

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
    """As Markdown, so that it can be pasted into a README."""
    widths = (7, 9, 4, 6, 9, 7, 7, 5, 7, 5)
    return "| " + " | ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def legend(rows: Sequence[Row], peaks: dict[str, float], turns: int, *, torch: bool) -> str:
    """What the columns mean, and what was not measured."""
    from nst.settings import Settings

    written = ", ".join(f"{precision} {peak / 1e12:.2f} TFLOP/s" for precision, peak in peaks.items() if peak)
    absent = "" if torch else "  Not measured: PyTorch is not installed, or the run was to be quick."
    kinds = sorted({f"weights of {row.network}: {row.weights}." for row in rows if row.weights})
    if any(row.weights == "random" for row in rows):
        kinds.append("(ImageNet's are not on this machine; random ones of the same shape take as long.)")
    kinds += [f"{row.network} {row.precision} {row.size}: {row.error}" for row in rows if row.error]
    margin = Settings().padding
    return LEGEND.format(turns=turns, peaks=written, margin=margin, absent=absent, weights="\n".join(kinds))
