"""Many pictures, one after the other: jobs that go on where a killed batch ended, and a manifest of what was painted.

A picture is done if its file carries the recipe of its job, so nothing else needs to be remembered.
"""

import json
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst import images, recipe
from nst.painting import Painting
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.transfer import Frame, StyleTransfer

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Job:
    """A picture to paint."""

    content: Path
    styles: tuple[Path, ...]
    settings: Settings
    output: Path

    def painting(self) -> Painting:
        """The picture before its first frame."""
        return Painting(self.content, self.styles, self.settings)

    def is_done(self, load: "Callable[[Settings], StyleTransfer]") -> bool:
        """Whether the output is this picture, finished.

        Raises:
            ValueError: a picture cannot be read, or there is another file in its place, which is not to be lost.
        """
        if not self.output.exists():
            return False
        made = recipe.read(self.output)
        if made is None:
            raise ValueError(f"{self.output.name} is there already, and this program did not paint it; move it first.")
        return self.painting().is_described_by(made, load)


def check(jobs: Iterable[Job]) -> None:
    """Raise a ValueError, with one sentence, if two jobs write the same file, or one overwrites what another reads."""
    jobs = list(jobs)
    inputs = {_same(path) for job in jobs for path in (job.content, *job.styles)}
    outputs: dict[str, Job] = {}
    for job in jobs:
        images.check_suffix(job.output)
        if _same(job.output) in inputs:
            raise ValueError(f"{job.output.name} is one of the pictures to paint from; choose another folder.")
        other = outputs.setdefault(_same(job.output), job)
        if other is not job:
            both = f"from {other.content} and from {job.content}"
            raise ValueError(
                f"{job.output.name} would be painted twice, {both}; rename one, or list the jobs in a CSV file with a "
                "column named output."
            )


def _same(path: Path) -> str:
    """Equal for paths that some file system takes for the same."""
    return os.path.abspath(path).casefold()


class Manifest:
    """A file with a line of JSON for each picture: its output, recipe, losses and seconds, or its error."""

    def __init__(self, path: Path):
        """Adds to the file if there is one.  Raises ImageError if it cannot be written."""
        self.path = path
        try:
            old = path.read_bytes() if path.exists() else b""
            if old and not old.endswith(b"\n"):  # the process was killed in the middle of a line
                path.write_bytes(old[: old.rfind(b"\n") + 1])
            with path.open("a"):
                pass
        except OSError as error:
            raise images.ImageError(f"{path} cannot be written: {error.strerror or error}.") from error
        self._told = {entry["output"] for entry in self.entries() if "recipe" in entry}

    def entries(self) -> list[dict[str, Any]]:
        """What the file holds, without lines that are damaged."""
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and "output" in entry:
                found.append(entry)
        return found

    def tell(self, job: Job, **facts: Any) -> dict[str, Any]:
        """Add a line about a job, and return it."""
        entry = {"output": job.output.name, **facts}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._told.add(job.output.name)
        return entry

    def tell_painted(self, job: Job, **facts: Any) -> dict[str, Any]:
        """Add a line about a picture, with its recipe, and return it."""
        made = recipe.read(job.output)
        return self.tell(job, recipe=json.loads(made.text) if made else None, **facts)

    def complete(self, job: Job) -> None:
        """Add a line about a picture that was done before, if it has none."""
        if job.output.name not in self._told:
            self.tell_painted(job, losses=None, seconds=None)


def paint(job: Job, load: "Callable[[Settings], StyleTransfer]") -> "Generator[Frame, None, Painting]":
    """Paint a job that is not done.

    Yields:
        its frames.

    Returns:
        the painting, for `finish`.

    Raises:
        ValueError, FloatingPointError, MemoryError: as `Painting.frames` does; nothing is written.
    """
    images.check_writable(job.output)
    painting = job.painting()
    yield from painting.frames(load)
    return painting


def finish(job: Job, painting: Painting, manifest: Manifest) -> dict[str, Any]:
    """Write the file of a painted job and its line of the manifest, and return the line.

    Raises:
        ValueError: as `Painting.save` does; the file is unchanged.
    """
    frame = painting.frame
    assert frame is not None  # every run ends with one
    painting.save(job.output)
    notes = [note for note in (painting.note, *painting.notes) if note]
    return manifest.tell_painted(job, losses=frame.losses, seconds=round(frame.elapsed, 3), notes=notes)
