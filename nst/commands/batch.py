"""`batch`: repaint many photos, one after the other."""

import argparse
import csv
import json
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.commands import flags
from nst.commands.output import FAILED, STOPPED, Stop, tell, write
from nst.commands.running import find, interrupt, interrupted, load, on_signals, uninterrupted
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.batch import Job, Manifest
    from nst.painting import Painting
    from nst.transfer import Frame, StyleTransfer

NEEDED = ("content", "style")  # columns of a CSV file


def add_to(commands: Any) -> None:
    usage = "%(prog)s PHOTO [PHOTO ...] --styles STYLE [STYLE ...] -o DIR [--json] [--SETTING VALUE ...]"
    usage += "\n       %(prog)s JOBS.csv -o DIR [--json] [--SETTING VALUE ...]"
    words = "Repaint many photos; a batch that was stopped goes on where it ended when the command is given again."
    columns = "columns content and style, and if wanted output and settings; several paintings are separated by ;"
    parser = commands.add_parser("batch", help="repaint many photos", description=words, usage=usage)
    parser.allow_abbrev = False
    parser.set_defaults(command=run)
    parser.add_argument(
        "photos",
        metavar="PHOTO",
        nargs="+",
        help=f"photos: files, folders, names of examples, or a CSV file ({columns})",
    )
    parser.add_argument(
        "--styles", metavar="STYLE", nargs="+", default=[], help="paintings: every photo is painted after each"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder to write to, made if missing")
    parser.add_argument("--json", action="store_true", help="report each picture as a line of JSON")
    flags.add_settings(parser)


def run(options: argparse.Namespace) -> int:
    """Paint what is not done yet.  A job that fails is told at the end and stops nothing."""
    on_signals(interrupt)
    from nst import batch, images

    folder = Path(options.output)
    jobs = list(_jobs(options, folder))
    batch.check(jobs)
    images.make_folder(folder)
    progress = _Progress(jobs, batch.Manifest(folder / batch.MANIFEST), options.json)
    try:
        _on_painters(progress.paint, jobs)
    except (Stop, KeyboardInterrupt):
        done = progress.painted + progress.found
        return tell(f"Stopped with {done} of {len(jobs)} pictures done; the same command goes on.", STOPPED)
    for failure in progress.failures:
        tell(failure)
    count = f"{progress.painted} painted, {progress.found} done before, {len(progress.failures)} failed"
    tell(f"{count}; see {progress.manifest.path}.")
    return FAILED if progress.failures else 0


def _on_painters(paint: "Callable[[Job], None]", jobs: "list[Job]") -> None:
    """Paint here, or as many at a time as NST_CLUSTER has painters."""
    from nst import cluster

    pool = cluster.pool()
    if pool is None or pool.size == 1:  # in the main thread, which a signal interrupts at once
        for job in jobs:
            paint(job)
        return
    with ThreadPoolExecutor(pool.size) as threads:
        for done in [threads.submit(paint, job) for job in jobs]:
            done.result()


class _Progress:
    """What has become of the jobs so far; `paint` may be called from several threads."""

    def __init__(self, jobs: "list[Job]", manifest: "Manifest", as_json: bool):
        self.manifest, self.painted, self.found, self.failures = manifest, 0, 0, []
        self._jobs, self._as_json = jobs, as_json
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}
        self._loading, self._telling = threading.Lock(), threading.Lock()

    def paint(self, job: "Job") -> None:
        """Paint a job unless it is done, and tell.  Raises Stop after a signal."""
        from nst import batch

        if interrupted.is_set():
            raise Stop
        place = f"{self._jobs.index(job) + 1}/{len(self._jobs)} {job.output.name}"
        try:
            if job.is_done(self._engine):
                with self._telling:
                    self.manifest.complete(job)
                    self.found += 1
                return
            painting = _watched(place, batch.paint(job, self._engine))
            with uninterrupted(), self._telling:
                entry = batch.finish(job, painting, self.manifest)
                self.painted += 1
                text = " ".join([f"{place}: {entry['seconds']:.1f} s.", *entry["notes"]])
                write(json.dumps(entry) if self._as_json else text)
        except (ValueError, ArithmeticError, MemoryError, OSError) as error:
            sentence = " ".join(str(error).split())
            with self._telling:
                self.failures.append(f"{job.output.name}: {sentence}")
                self.manifest.tell(job, error=sentence)

    def _engine(self, settings: Settings) -> "StyleTransfer":
        with self._loading:
            if settings.of_network not in self._engines:
                self._engines[settings.of_network] = load(settings)
            return self._engines[settings.of_network]


def _watched(words: str, frames: "Generator[Frame, None, Painting]") -> "Painting":
    """Run a picture's frames to their end, with a bar on a terminal; returns what `batch.paint` does."""
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f} % |{bar}|"
    watched = sys.stderr.isatty()
    with tqdm(total=1, desc=words, bar_format=layout, dynamic_ncols=True, leave=False, disable=not watched) as bar:
        while True:
            try:
                frame = next(frames)
            except StopIteration as end:
                return end.value
            if interrupted.is_set():
                raise Stop
            bar.total = frame.steps
            bar.update(frame.step - bar.n)


def _jobs(options: argparse.Namespace, folder: Path) -> "Iterator[Job]":
    """The jobs in order.  Raises ValueError, with one sentence, before anything is painted."""
    from nst.batch import Job

    settings = flags.settings(options)
    if [path for path in options.photos if Path(path).suffix.lower() == ".csv"]:
        if len(options.photos) > 1 or options.styles:
            raise ValueError("A CSV file names its photos and paintings itself; give it alone, without --styles.")
        yield from _listed(Path(options.photos[0]), settings, folder)
        return
    if not options.styles:
        raise ValueError("--styles is missing: name one or more paintings.")
    styles = [find(name)[0] for name in options.styles]
    for photo in _photos(options.photos):
        for style in styles:
            yield Job(photo, (style,), settings, folder / f"{photo.stem}_{style.stem}.png")


def _photos(names: list[str]) -> Iterator[Path]:
    """The files that the arguments name, those of folders sorted."""
    from nst import images

    for name in names:
        if not Path(name).is_dir():
            yield find(name)[0]
            continue
        found = sorted(path for path in Path(name).iterdir() if path.suffix.lower() in images.SUFFIXES)
        if not found:
            raise ValueError(f"The folder {name} holds no pictures; name another.")
        yield from found


def _listed(path: Path, settings: Settings, folder: Path) -> "Iterator[Job]":
    """The jobs of a CSV file, whose paths are relative to it."""
    from nst.batch import Job

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}; check its name and folder.") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a CSV file in UTF-8 that can be read: {error}.") from error
    knobs = {knob.name: knob for knob in fields(Settings)}
    if missing := [name for name in NEEDED if name not in columns]:
        raise ValueError(
            f"{path.name} has no column {' and no column '.join(missing)}; it has {', '.join(columns) or 'none'}."
        )
    if unknown := [name for name in columns if name not in (*NEEDED, "output", *knobs)]:
        raise ValueError(f"{path.name}: there is no setting {' or '.join(unknown)}; docs/settings.md lists them.")
    if not rows:
        raise ValueError(f"{path.name} lists no pictures; add a row for each.")
    for line, row in rows:
        try:
            if None in row or None in row.values():
                raise ValueError(f"the row should have {len(columns)} values")
            given = {name: text for name, text in row.items() if name in knobs and text.strip()}
            photo = _beside(path, row["content"])
            styles = tuple(_beside(path, name) for name in row["style"].split(";"))
            name = row.get("output", "").strip() or f"{photo.stem}_{'_'.join(style.stem for style in styles)}.png"
            if Path(name).name != name:
                raise ValueError(f"output: {name!r} should be a file's name without a folder")
            yield Job(photo, styles, flags.settings(argparse.Namespace(**given), settings), folder / name)
        except ValueError as error:
            raise ValueError(f"{path.name}, line {line}: {error}") from error


def _beside(table: Path, name: str) -> Path:
    """The file or example that a cell names."""
    if not (name := name.strip()):
        raise ValueError("content and style should each name a picture")
    beside = table.parent / name
    return beside if beside.is_file() else find(name)[0]
