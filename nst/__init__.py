"""Neural style transfer after Gatys, Ecker and Bethge (2015): a photo repainted in the style of a painting.

from nst import Settings, StyleTransfer, images, load_network

settings = Settings(size=512)
transfer = StyleTransfer(load_network(settings))
for frame in transfer.stylize(images.load("photo.jpg"), [images.load("painting.jpg")], settings):
    print(frame.step, frame.losses["total"])
images.save(frame.image, "out.png")
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nst.features import load_network
    from nst.settings import Settings
    from nst.transfer import Frame, StyleTransfer

__version__ = "0.2.0"

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or TensorFlow allocates all GPU memory at once
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # or convolutions take 1.5 times as long on CPUs without AVX512

__all__ = ["Frame", "Settings", "StyleTransfer", "load_network"]

_MODULES = {"Frame": "transfer", "Settings": "settings", "StyleTransfer": "transfer", "load_network": "features"}


def __getattr__(name: str):
    """Import on first use: TensorFlow takes seconds, and `--help` does not need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
