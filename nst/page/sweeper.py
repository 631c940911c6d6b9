"""Bounds the disk and memory of the page: deletes old pictures from Gradio's cache, and what it keeps of sessions."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gradio import routes, utils

from nst.page import limits
from nst.page.cache import touch

KEPT = 86400.0  # seconds since a picture was last used
UNFINISHED = 3600.0  # seconds since an upload that never ended was last written to
EVERY, LOOK = 60.0, 2.0  # seconds between two sweeps, and between two looks whether the disk fills
GROWTH = 100_000_000  # bytes of disk taken since the last sweep that call for the next one at once
OVERHEAD = 8192  # bytes that a file takes beside its own, with its folder
JUMP, SETTLED = 300.0, 3600.0  # seconds: a clock that jumps further is not believed so long
SESSIONS = 1000  # that Gradio remembers: each takes about 0.3 MB
FOLDERS = re.compile("[0-9a-f]{64}|deep_links(/[^/]+)?")
FILES = re.compile("[0-9a-f]{64}/[^/]+|deep_links/[^/]+/state.json|tmp[^/]+", re.DOTALL)  # the last: unfinished uploads

log = logging.getLogger(__name__)


def limit() -> int:
    """Bytes of pictures to keep, from $NST_PICTURES_MB."""
    return int(limits.number("NST_PICTURES_MB", 2000, 1, 10**9)) * 10**6


class Sweeper:
    """Deletes pictures that nobody has used for a day, and the longest unused when all take too many bytes.

    Servers may share a folder: each touches what its visitors use, and no file is younger than that.
    """

    def __init__(self, used: Callable[[], Iterable[str]] = tuple, folder: str = "", most: int = 0):
        """
        Args:
            used: returns the files of the runs that are under way.
            folder: Gradio's cache, by default.
            most: bytes, $NST_PICTURES_MB by default, and at most half of what the disk has for the pictures.
        """
        self.folder, self.most = Path(folder or utils.get_upload_folder()), most or limit()
        self._used, self._complaint = used, ""
        self._offset = time.time() - time.monotonic()
        self._settled = time.monotonic()  # since when the clock is believed
        self._swept = self._free = 0.0

    def look(self) -> None:
        """Sweep if a minute has gone by, or the disk has filled since the last time.  Never raises an OSError."""
        try:
            self._free = max(self._free, free := self._disk_free())
            if self._free - free >= GROWTH or not self._swept or time.monotonic() - self._swept >= EVERY:
                self.sweep()
                self._swept, self._free = time.monotonic(), self._disk_free()
        except FileNotFoundError:  # no picture yet; or another server has deleted it first
            self._free = 0.0
        except OSError as error:
            self._complain(error)

    def sweep(self) -> None:
        """Delete what is too old or too much, and empty folders.

        Raises:
            OSError: the folder cannot be read.
        """
        now, steady = time.time(), time.monotonic()
        if now - steady - self._offset > JUMP:  # set forward, perhaps by mistake
            self._settled = steady + SETTLED
        self._offset = now - steady
        used = set(self._used())
        touch(*used)
        found = sorted(self._walk(self.folder, now))
        total = sum(size for _, size, _ in found)
        most = min(self.most, (self._disk_free() + total) // 2)
        for modified, size, path in found:
            kept = UNFINISHED if path.parent == self.folder else KEPT
            is_old = modified + kept < now and steady >= self._settled
            if (is_old or total > most) and str(path) not in used and self._delete(path, modified):
                total -= size

    def _walk(self, folder: Path, now: float, within: str = "") -> Iterator[tuple[float, int, Path]]:
        """(time of last use, bytes, path) of each file; deletes empty folders; follows no links."""
        for name in os.listdir(folder):
            path, known = folder / name, within + name
            try:
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and FOLDERS.fullmatch(known):
                    yield from self._walk(path, now, f"{known}/")
                    if now - found.st_mtime > EVERY:  # else a file may be about to come
                        path.rmdir()
                elif stat.S_ISREG(found.st_mode) and FILES.fullmatch(known):
                    if found.st_mtime > now + JUMP:  # the clock has been set back
                        touch(str(path))
                    yield min(found.st_mtime, now), found.st_size + OVERHEAD, path
            except OSError:  # gone meanwhile, or not empty
                continue

    def _delete(self, path: Path, modified: float) -> bool:
        try:
            if path.lstat().st_mtime <= modified:  # else it has just been used
                path.unlink()
                return True
        except FileNotFoundError:
            return True
        except OSError as error:
            self._complain(error)
        return False

    def _complain(self, error: OSError) -> None:
        """Log each reason once; without names, which are visitors' own."""
        complaint = error.strerror or type(error).__name__
        if complaint != self._complaint:
            log.error("Old pictures cannot be deleted from %s: %s", self.folder, complaint)
        self._complaint = complaint

    def _disk_free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def lifespan(self, page: Any) -> Callable[[Any], Any]:
        """What looks after the folder and the sessions of a page while it is served, for `app_kwargs`."""

        async def keep_looking(app: Any) -> None:
            while True:
                await asyncio.to_thread(self.look)
                forget_sessions(app, page)
                await asyncio.sleep(LOOK)

        @contextlib.asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            task = asyncio.create_task(keep_looking(app))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        return lifespan


def forget_sessions(app: Any, page: Any) -> None:
    """Drop what Gradio 6.31 never does; on its event loop, since nothing guards these tables."""
    for files in page.temp_file_sets:  # to be deleted when the page ends: not by us
        files.clear()
    queue, statuses = page._queue, routes.file_upload_statuses
    for session in queue.pending_event_ids_session.keys() - queue.pending_messages_per_session.keys():
        del queue.pending_event_ids_session[session]
    app.iterators_to_reset &= queue.event_ids_to_events.keys()
    while len(statuses._signals) > SESSIONS:
        upload = next(iter(statuses._signals))
        del statuses._signals[upload]
        statuses.stop_tracking(upload)
    holder, now = app.state_holder, time.time()
    for session, used in list(holder.time_last_used.items()):
        state = holder.session_data.get(session)
        if state is None or now - used.timestamp() > (SETTLED if state.is_closed else KEPT):
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)
