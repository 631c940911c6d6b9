"""Files in Gradio's cache, the only folder that Gradio serves: kept for a day, at paths that nobody can guess."""

import contextlib
import errno
import os
import re
from pathlib import Path

from gradio import processing_utils
from gradio.utils import get_upload_folder

from nst import catalogue, images
from nst.images import ImageError
from nst.page.text import DELETED

SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif")
PREVIEW = ".preview.webp"  # ends the name of the small file that is shown instead of the one beside it
PREVIEW_SIDE = 360  # pixels: the uploads are about 220 wide


def cache_file(path: Path) -> str:
    """Copy a file to the cache, where it is deleted a day after it was last used."""
    cached = processing_utils.save_file_to_cache(path, cache_dir=get_upload_folder())
    touch(cached)  # a copy has the time of its original
    return cached


def touch(*paths: str) -> None:
    """Note that these cached files are used now; their day begins anew."""
    for path in paths:
        with contextlib.suppress(OSError):  # deleted: whoever reads it says so
            os.utime(path)


def cached_file(key: str, name: str = "") -> str:
    """Path of the file that `cache_file` or an upload has cached under this key.

    Args:
        name: of the file.  Visitors who upload the same picture share the key, and none must see another's name for it.

    Raises:
        ImageError: there is no such file.
    """
    files = Path(get_upload_folder(), key).glob("*") if re.fullmatch("[0-9a-f]{64}", key) else ()
    for file in sorted(files, key=lambda file: file.name != name):
        if not file.name.endswith(PREVIEW):
            touch(str(file))
            return str(file)
    raise ImageError(DELETED)


def is_shown_by_browsers(path: str) -> bool:
    """Whether browsers can show a file of this suffix."""
    return Path(path).suffix.lower() in SHOWN_BY_BROWSERS


def stand_in(path: str) -> str:
    """The cached file to show for this one: itself, or a small copy beside it; `original` undoes it.

    Examples get a copy, since they have up to a megabyte, and so does what browsers cannot show.

    Raises:
        ImageError: the picture cannot be read.
        OSError: the copy cannot be written.
    """
    if is_shown_by_browsers(path) and catalogue.recognize(path) is None:
        return path
    copy = Path(path + PREVIEW)
    if copy.exists():
        touch(str(copy))
    else:
        pixels = images.to_uint8(images.load(path, longest_side=PREVIEW_SIDE))
        try:
            images.save(pixels, copy, quality=75)
        except ImageError as error:  # its sentence names a folder of this server
            raise OSError(errno.EIO, "a preview could not be written") from error
    return str(copy)


def original(path: str) -> str:
    """The file that `stand_in` shows a copy of, else the path itself."""
    whole = path.removesuffix(PREVIEW)
    touch(path, whole)
    return whole if Path(whole).exists() else path
