"""The catalogue: photos and paintings to try, described in examples/catalogue.json.

Photos are read from the installed package that holds them, never copied.  Our own painting of The Starry Night makes
way for the real one where that can be had: it is fetched once, when somebody asks for the picture and never before, and
kept in the cache ($NST_CACHE, else nst in $XDG_CACHE_HOME or ~/.cache).  Paintings of which we have no version of our
own are in the catalogue once `fetch` has put them into the cache.  NST_OFFLINE=1 forbids the fetching.
"""

import contextlib
import difflib
import importlib.util
import json
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
PATIENCE = 1.0  # seconds that somebody who asks for a picture waits for the internet
TIMEOUT = 10.0  # seconds without an answer after which the download itself gives up
MAX_SECONDS = 120.0  # of a download that trickles
MAX_BYTES = 10_000_000
TOLERANCE = 0.05  # of the proportions: scans are cropped differently, another picture has others


class CatalogueError(ValueError):
    """The catalogue has no such picture; the message is one sentence for a person, with the names it has."""


@dataclass(frozen=True)
class Original:
    """The real painting behind a picture of our own making, and where it can be had."""

    title: str
    artist: str
    year: int
    license: str
    source: str  # the page that describes it
    url: str
    proportions: float  # width / height


@dataclass(frozen=True)
class Example:
    """A picture to try, and whose it is."""

    name: str
    title: str
    artist: str
    year: int | None  # None: unknown
    license: str
    source: str
    path: Path
    original: Original | None = None


@dataclass(frozen=True)
class Pair:
    """Two names of the catalogue that go well together."""

    name: str
    title: str
    content: str
    style: str

    @property
    def thumbnail(self) -> Path | None:
        """What comes of it, painted with the defaults: a JPEG of at most 360 pixels a side; None if there is none."""
        path = FOLDER / "painted" / f"{self.name}.jpg"
        return path if path.is_file() else None

    @property
    def credit(self) -> str:
        """Whose manner it is, in a few words of plain text: "after Vincent van Gogh · MIT"."""
        style = _described(_entry(self.style))
        return f"{style['artist']} · {style['license'].partition(',')[0]}"


def examples() -> tuple[Example, ...]:
    """All pictures that are on this machine; needs no network."""
    return tuple(_example(entry, path) for entry in _CATALOGUE["examples"] if (path := _path(entry)))


def find(name: str) -> Example:
    """The example of that name; needs no network.

    Raises:
        CatalogueError: there is none, it has not been fetched, or the package that holds it is not installed.
    """
    entry = _entry(name)
    path = _path(entry)
    if path is None and "file" not in entry:
        raise CatalogueError(f"The painting {name} is not here yet; `python -m nst examples --fetch` gets it.")
    if path is None:
        holder = entry.get("package", "this checkout")
        raise CatalogueError(f"The example {name} is a part of {holder}, which is not installed here or lacks it.")
    return _example(entry, path)


def picture(name: str, fetch: bool = True) -> tuple[Path, str]:
    """The file of an example, and a sentence that says which picture it is.

    The first call for a painting of which we have only our own version may wait PATIENCE seconds while the real one is
    being fetched, unless `fetch` forbids it.  What comes later is there for the next call; a failure is not tried again
    by this process.

    Raises:
        CatalogueError: as `find`.
    """
    example = find(name)
    if example.original is None:
        return example.path, f"{example.title}, {example.artist} ({example.license})."
    original = example.original
    path = _fetched(example.name, original, fetch)
    if path is None:
        mine = f"{example.title} ({example.artist}, {example.year})"
        return example.path, f"{mine}; the real painting is not at hand."
    return path, f"{original.title} by {original.artist}, {original.year}: the real painting ({original.license})."


def missing() -> tuple[str, ...]:
    """Names of the paintings that are not on this machine and that `fetch` can get; needs no network."""
    return tuple(entry["name"] for entry in _CATALOGUE["examples"] if "file" not in entry and not _path(entry))


def fetch() -> Iterator[tuple[bool, str]]:
    """Put the real paintings that are missing into the cache, one after the other.

    Yields:
        for each, whether it is here now, and a sentence on it for a person.
    """
    for entry in _CATALOGUE["examples"]:
        if "original" not in entry:
            continue
        original, path = Original(**entry["original"]), _cached(entry["name"])
        work = f"{entry['name']}: {original.title} by {original.artist}"
        if _is_painting(path, original):
            yield True, f"{work} is already here."
            continue
        try:
            if machine.is_offline():
                raise CatalogueError("NST_OFFLINE forbids fetching it")
            _download(original, path)
            yield True, f"{work} has been fetched ({original.license}, {original.source})."
        except CatalogueError as error:
            yield False, f"{work} could not be had: {error}."


def recognize(file: str | os.PathLike) -> str | None:
    """The name of the example that a file is, byte for byte, whatever it is called now; None if it is none."""
    try:
        size = os.path.getsize(file)
        for example in examples():
            for path in (example.path, _cached(example.name)):
                if path.is_file() and path.stat().st_size == size and path.read_bytes() == Path(file).read_bytes():
                    return example.name
    except OSError:
        pass
    return None


def _entry(name: str) -> dict[str, Any]:
    entries = {entry["name"]: entry for entry in _CATALOGUE["examples"]}
    if name not in entries:
        close = difflib.get_close_matches(name, entries, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise CatalogueError(f"{name!r} is neither a file nor an example; the examples are {', '.join(entries)}{hint}")
    return entries[name]


def _path(entry: dict[str, Any]) -> Path | None:
    """Where an example's file is; None if it is not.  A package is looked up without importing it."""
    if "file" not in entry:
        path = _cached(entry["name"])
        return path if path.is_file() else None  # whole and the right one: nothing else gets there
    folder = FOLDER
    if "package" in entry:
        spec = importlib.util.find_spec(entry["package"])
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(next(iter(spec.submodule_search_locations)))
    path = folder / entry["file"]
    return path if path.is_file() else None


def _example(entry: dict[str, Any], path: Path) -> Example:
    original = Original(**entry["original"]) if "original" in entry and "file" in entry else None
    return Example(name=entry["name"], **_described(entry), path=path, original=original)


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    """Whose a picture is: ours, where we have one, else the original."""
    whose = entry if "file" in entry else entry["original"]
    return {key: whose[key] for key in ("title", "artist", "year", "license", "source")}


_downloads: dict[str, tuple[threading.Thread, float]] = {}  # url -> its thread, and when waiting for it ends
_lock = threading.Lock()


def _fetched(name: str, original: Original, fetch: bool) -> Path | None:
    """The real painting from the cache or, within PATIENCE seconds, from the internet; None if it is in neither."""
    path = _cached(name)
    if _is_painting(path, original):
        return path
    if not fetch or machine.is_offline():
        return None
    with _lock:
        if original.url not in _downloads:
            # A thread and not a timeout: looking up a host's name may take longer than any timeout given to it.
            thread = threading.Thread(target=_try_to_download, args=(original, path), daemon=True)
            thread.start()
            _downloads[original.url] = thread, time.monotonic() + PATIENCE
    thread, end = _downloads[original.url]
    thread.join(max(0, end - time.monotonic()))
    return path if _is_painting(path, original) else None


def _cached(name: str) -> Path:
    return _cache() / f"{name}.jpg"


def _cache() -> Path:
    if folder := os.environ.get("NST_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "nst"


def _is_painting(source: Path | bytes, original: Original) -> bool:
    """Whether it decodes and has the painting's proportions: hotel networks answer with pages of their own."""
    from nst import images

    try:
        height, width = images.load(source, longest_side=256).shape[1:3]
    except images.ImageError:
        return False
    return abs(width / height / original.proportions - 1) <= TOLERANCE


def _try_to_download(original: Original, path: Path) -> None:
    with contextlib.suppress(CatalogueError):
        _download(original, path)


def _download(original: Original, path: Path) -> None:
    """Fetch, check and store.

    Raises:
        CatalogueError: half a sentence on why there is no file now.
    """
    import http.client
    import urllib.error
    import urllib.request

    from nst import images
    from nst.recipe import VERSION

    agent = f"neural-style-transfer/{VERSION} (public-domain paintings, each once, at a user's request) Python-urllib"
    request = urllib.request.Request(original.url, headers={"User-Agent": agent})
    end, data = time.monotonic() + MAX_SECONDS, bytearray()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            while chunk := response.read1(65536):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise CatalogueError(f"it is larger than {MAX_BYTES // 10**6} MB")
                if time.monotonic() > end:
                    raise CatalogueError(f"it takes longer than {MAX_SECONDS:g} seconds")
    except CatalogueError:
        raise
    except urllib.error.HTTPError as error:
        raise CatalogueError(f"{request.host} answered {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # an OSError within an OSError
        reason = getattr(reason, "strerror", None) or reason
        raise CatalogueError(f"{request.host} could not be reached or broke off ({reason})") from error
    if not _is_painting(bytes(data), original):
        raise CatalogueError("what came is not this painting; perhaps your network wants you to log in first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with images.atomic_write(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, images.ImageError) as error:
        raise CatalogueError(f"it cannot be kept in {path.parent}, where NST_CACHE may name another folder") from error


_CATALOGUE: dict[str, Any] = json.loads((FOLDER / "catalogue.json").read_text(encoding="utf-8"))
PAIRS = tuple(Pair(**pair) for pair in _CATALOGUE["pairs"])
