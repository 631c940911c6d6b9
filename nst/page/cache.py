"""Files in Gradio's cache, the only folder that Gradio serves: kept for a day, at paths that nobody can guess."""

import re
from pathlib import Path

from gradio import processing_utils
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

from nst import catalogue, images
from nst.images import ImageError
from nst.page.text import DELETED

SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif")
PREVIEW = ".preview.webp"  # ends the name of the small file that is shown instead of the one beside it
PREVIEW_SIDE = 360  # pixels: the uploads are about 220 wide


def cache_file(path: Path) -> str:
    """Copy a file to the cache; it is deleted there after a day."""
    return delete_later(processing_utils.save_file_to_cache(path, cache_dir=get_upload_folder()))


def delete_later(path: str) -> str:
    """Have Gradio delete this file after a day; it does not know all that its components have shown."""
    if (page := LocalContext.blocks.get(None)) is not None:
        page.upload_file_set.add(path)
    return path


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
            return str(file)
    raise ImageError(DELETED)


def is_shown_by_browsers(path: str) -> bool:
    """Whether browsers can show a file of this suffix."""
    return Path(path).suffix.lower() in SHOWN_BY_BROWSERS


def stand_in(path: str) -> str:
    """The cached file to show for this one: itself, or a small copy beside it; `original` undoes it.

    Examples get a copy, since they have up to a megabyte, and so does what browsers cannot show.
    """
    if is_shown_by_browsers(path) and catalogue.recognize(path) is None:
        return path
    copy = Path(path + PREVIEW)
    if copy.exists():
        copy.touch()  # its day begins anew, as that of the file does
    else:
        images.save(images.to_uint8(images.load(path, longest_side=PREVIEW_SIDE)), copy, quality=75)
    return delete_later(str(copy))


def original(path: str) -> str:
    """The file that `stand_in` shows a copy of, else the path itself."""
    whole = path.removesuffix(PREVIEW)
    return whole if Path(whole).exists() else path
