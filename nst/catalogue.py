"""The catalogue: example photos and paintings, listed in examples/catalogue.json.

Three photos are read from the installed package that contains them.  Our own version of The Starry Night is replaced by
the real painting where possible: the first request downloads it into the cache ($NST_CACHE, else nst in $XDG_CACHE_HOME
or ~/.cache).  Pictures without a file of our own are listed once `fetch` or, when a page starts, `complete` has
downloaded them.  NST_OFFLINE=1 forbids all downloads.
"""

import contextlib
import difflib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst import machine

_INSTALLED, _CHECKOUT = Path(__file__).with_name("examples"), Path(__file__).parent.parent / "examples"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
MAX_WAIT = 1.0  # seconds that `picture` waits for a download, which goes on in the background
TIMEOUT = 10.0  # seconds without data, after which a download fails
MAX_SECONDS = 120.0  # for a whole download
MAX_BYTES = 10_000_000
PAUSE = 5.0  # seconds between two downloads by `complete`, out of politeness to the server
MAX_TOTAL = 100_000_000  # bytes that one call of `complete` downloads, at most
MAX_FAILURES = 2  # in a row, after which `complete` gives up: there is no internet
TOLERANCE = 0.05  # relative, of the aspect ratio: scans of one painting are cropped differently

log = logging.getLogger(__name__)


class CatalogueError(ValueError):
    """An example is unknown or cannot be read; the message is one sentence for the user."""


@dataclass(frozen=True)
class Original:
    """Credits of a historical painting or a photo that is not ours, and where to download it."""

    title: str
    artist: str
    year: int | None  # None: unknown
    license: str
    source: str  # the page that describes it
    url: str
    aspect_ratio: float  # width / height


@dataclass(frozen=True)
class Example:
    """An example image with its credits."""

    name: str
    title: str
    artist: str
    year: int | None  # None: unknown
    license: str
    source: str
    path: Path
    role: str = "painting"  # or "photo": what it is in a pair
    original: Original | None = None  # only if the image is our own version of it


@dataclass(frozen=True)
class Pair:
    """A content and a style example that go well together."""

    name: str
    title: str
    content: str
    style: str

    @property
    def thumbnail(self) -> Path | None:
        """The pair painted at default settings: a JPEG of at most 360 pixels a side; None if there is none."""
        paths = FOLDER / "painted" / f"{self.name}.jpg", self.cached_thumbnail
        return next((path for path in paths if path.is_file()), None)

    @property
    def cached_thumbnail(self) -> Path:
        """Where a page keeps the thumbnail that it has painted."""
        return _cache_folder() / "painted" / f"{self.name}.jpg"

    @property
    def credit(self) -> str:
        """Artist and license of the painting as plain text: "after Vincent van Gogh · MIT"."""
        style = _credits(_find_entry(self.style))
        return f"{style['artist']} · {style['license'].partition(',')[0]}"


def examples() -> tuple[Example, ...]:
    """All examples on this machine; needs no network."""
    return tuple(_example(entry, path) for entry in _CATALOGUE["examples"] if (path := _local_path(entry)))


def find(name: str) -> Example:
    """The example of that name; needs no network.

    Raises:
        CatalogueError: it does not exist, has not been downloaded, or belongs to a package that is not installed.
    """
    entry = _find_entry(name)
    path = _local_path(entry)
    if path is None and "file" not in entry:
        raise CatalogueError(
            f"The {_role(entry)} {name} is not here yet; download it: `python -m nst examples --fetch`."
        )
    if path is None:
        origin = entry.get("package", "this checkout")
        raise CatalogueError(f"The example {name} comes with {origin}, which is not installed or lacks it.")
    return _example(entry, path)


def picture(name: str, fetch: bool = True) -> tuple[Path, str]:
    """The file of an example, and a sentence that credits it.

    If we have only our own version of a painting and `fetch` is true, the first call starts to download the real one
    and waits for it up to MAX_WAIT seconds.  Later calls return it once it is complete; a failed download is not
    retried by this process.

    Raises:
        CatalogueError: as `find`.
    """
    example = find(name)
    if example.original is None:
        return example.path, f"{example.title}, {example.artist} ({example.license})."
    original = example.original
    path = _fetch_original(example.name, original, fetch)
    if path is None:
        return example.path, f"{example.title} ({example.artist}, {example.year})."
    return path, f"{original.title} by {original.artist}, {original.year}: the real painting ({original.license})."


def missing() -> tuple[str, ...]:
    """Names of the pictures that `fetch` can download and that are not on this machine; needs no network."""
    return tuple(entry["name"] for entry in _CATALOGUE["examples"] if "file" not in entry and not _local_path(entry))


def fetch() -> Iterator[tuple[bool, str]]:
    """Download the missing real paintings and photos into the cache, one by one.

    Yields:
        (whether the picture is in the cache now, one sentence about it for the user) for each picture.
    """
    for name, original, path in _originals():
        work = f"{name}: {original.title} by {original.artist}"
        if _is_painting(path, original):
            yield True, f"{work} is already here."
            continue
        try:
            if machine.is_offline():
                raise CatalogueError("NST_OFFLINE forbids downloads")
            _download(original, path)
            yield True, f"{work} has been fetched ({original.license}, {original.source})."
        except CatalogueError as error:
            yield False, f"{work} could not be fetched: {error}."


def complete() -> None:
    """Download the missing real paintings and photos quietly, one by one with pauses: for a page that has started.

    Takes minutes.  Does nothing if NST_OFFLINE is set; gives up after MAX_FAILURES in a row, or MAX_TOTAL bytes.
    """
    if machine.is_offline():
        return
    missing = [(original, path) for _, original, path in _originals() if not _is_painting(path, original)]
    total = fetched = failures = 0
    for number, (original, path) in enumerate(missing):
        if total + MAX_BYTES > MAX_TOTAL:
            break
        if number:
            time.sleep(PAUSE)
        try:
            total += _download(original, path)
            fetched, failures = fetched + 1, 0
        except CatalogueError as error:
            total, failures = total + MAX_BYTES, failures + 1  # at most that much of it came
            if failures == MAX_FAILURES:
                log.info("The page does without more examples from Wikimedia Commons: %s", error)
                break
    if fetched:
        log.info("%d paintings and photos have been fetched from Wikimedia Commons", fetched)


def recognize(file: str | os.PathLike) -> str | None:
    """The name of the example that has the same bytes as the file, whatever the file's name; None if none has."""
    try:
        size = os.path.getsize(file)
        for example in examples():
            for path in (example.path, _cache_path(example.name)):
                if path.is_file() and path.stat().st_size == size and path.read_bytes() == Path(file).read_bytes():
                    return example.name
    except OSError:
        pass
    return None


def _find_entry(name: str) -> dict[str, Any]:
    entries = {entry["name"]: entry for entry in _CATALOGUE["examples"]}
    if name not in entries:
        close = difflib.get_close_matches(name, entries, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise CatalogueError(f"{name!r} is neither a file nor an example; the examples are {', '.join(entries)}{hint}")
    return entries[name]


def _originals() -> Iterator[tuple[str, Original, Path]]:
    """Name, original and place in the cache of each picture that can be downloaded."""
    for entry in _CATALOGUE["examples"]:
        if "original" in entry:
            yield entry["name"], Original(**entry["original"]), _cache_path(entry["name"])


def _role(entry: dict[str, Any]) -> str:
    return entry.get("role", "painting")


def _local_path(entry: dict[str, Any]) -> Path | None:
    """The file of an example; None if it is not on this machine."""
    if "file" not in entry:
        path = _cache_path(entry["name"])
        return path if path.is_file() else None  # checked when it was downloaded
    folder = FOLDER
    if "package" in entry:
        spec = importlib.util.find_spec(entry["package"])  # does not import it
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(next(iter(spec.submodule_search_locations)))
    path = folder / entry["file"]
    return path if path.is_file() else None


def _example(entry: dict[str, Any], path: Path) -> Example:
    original = Original(**entry["original"]) if "original" in entry and "file" in entry else None
    return Example(name=entry["name"], **_credits(entry), path=path, role=_role(entry), original=original)


def _credits(entry: dict[str, Any]) -> dict[str, Any]:
    """Credits of our own version if there is one, else of the original."""
    credited = entry if "file" in entry else entry["original"]
    return {key: credited[key] for key in ("title", "artist", "year", "license", "source")}


_downloads: dict[str, tuple[threading.Thread, float]] = {}  # URL -> (thread, deadline of those who wait for it)
_lock = threading.Lock()


def _fetch_original(name: str, original: Original, fetch: bool) -> Path | None:
    """The real painting from the cache, or downloaded within MAX_WAIT seconds; else None."""
    path = _cache_path(name)
    if _is_painting(path, original):
        return path
    if not fetch or machine.is_offline():
        return None
    with _lock:
        if original.url not in _downloads:
            # A thread, because no socket timeout limits a DNS lookup.
            thread = threading.Thread(target=_try_download, args=(original, path), daemon=True)
            thread.start()
            _downloads[original.url] = thread, time.monotonic() + MAX_WAIT
    thread, deadline = _downloads[original.url]
    thread.join(max(0, deadline - time.monotonic()))
    return path if _is_painting(path, original) else None


def _cache_path(name: str) -> Path:
    return _cache_folder() / f"{name}.jpg"


def _cache_folder() -> Path:
    if folder := os.environ.get("NST_CACHE"):
        return machine.expand_home(folder)
    return machine.expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "nst"


def _is_painting(source: Path | bytes, original: Original) -> bool:
    """Whether it decodes and has the original's aspect ratio; a captive portal, for instance, returns a login page."""
    from nst import images

    try:
        height, width = images.load(source, longest_side=256).shape[1:3]
    except images.ImageError:
        return False
    return abs(width / height / original.aspect_ratio - 1) <= TOLERANCE


def _try_download(original: Original, path: Path) -> None:
    with contextlib.suppress(CatalogueError):
        _download(original, path)


def _download(original: Original, path: Path) -> int:
    """Download a picture, check it and write it to `path`; returns its size in bytes.

    Raises:
        CatalogueError: the reason, to be completed to a sentence by the caller.
    """
    import http.client
    import urllib.error
    import urllib.request

    from nst import images
    from nst.recipe import VERSION

    agent = f"neural-style-transfer/{VERSION} (public-domain pictures, each once, one at a time) Python-urllib"
    request = urllib.request.Request(original.url, headers={"User-Agent": agent})
    deadline, data = time.monotonic() + MAX_SECONDS, bytearray()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            while chunk := response.read1(65536):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise CatalogueError(f"it is larger than {MAX_BYTES // 10**6} MB")
                if time.monotonic() > deadline:
                    raise CatalogueError(f"it takes longer than {MAX_SECONDS:g} seconds")
    except CatalogueError:
        raise
    except urllib.error.HTTPError as error:
        raise CatalogueError(f"{request.host} answered {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # URLError wraps an OSError
        reason = getattr(reason, "strerror", None) or reason
        raise CatalogueError(f"the connection to {request.host} failed ({reason})") from error
    if not _is_painting(bytes(data), original):
        raise CatalogueError("the server sent something else; perhaps your network wants you to log in first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with images.atomic_write(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, images.ImageError) as error:
        raise CatalogueError(f"it cannot be saved in {path.parent}; NST_CACHE can name another folder") from error
    return len(data)


_CATALOGUE: dict[str, Any] = json.loads((FOLDER / "catalogue.json").read_text(encoding="utf-8"))
PAIRS = tuple(Pair(**pair) for pair in _CATALOGUE["pairs"])
