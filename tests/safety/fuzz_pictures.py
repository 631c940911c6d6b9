"""Guided by coverage, atheris looks for bytes that `images.load` neither reads nor refuses, or that cost too much.

`python tests/safety/fuzz_pictures.py -max_total_time=600 -timeout=20 -rss_limit_mb=3000 FOLDER`; a file that fails is
left behind.  A small one belongs into tests/safety/found, which the corpus of test_hostile_pictures.py includes.
"""

import sys

import atheris

with atheris.instrument_imports(include=["nst.formats", "nst.images", "PIL"]):
    from nst import images

SIDE = 64


def try_bytes(data: bytes) -> None:
    try:
        image = images.load(data, SIDE)
    except images.ImageError as error:
        message = str(error)
        if "\n" in message or not message.endswith("."):
            raise AssertionError(message) from error
        return
    if image.dtype != "float32" or image.shape[0] != 1 or image.shape[3] != 3:
        raise AssertionError(image.shape)
    if not (0 <= image.min() <= image.max() <= 1):
        raise AssertionError("numbers out of range")


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_bytes)
    atheris.Fuzz()
