"""What this machine is for us: what paints on it, how large, how fast, and what to do about what is missing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nst import catalogue, images, machine, memory, weights
from nst.page import limits
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.page.studio import Studio

GB = 10**9
ROOM = 2 * GB  # bytes of disk: VGG-19's weights take 80 MB, visitors' pictures of a day the rest
SLOW = "Without fast bfloat16 (AMX, AVX512-BF16 or a GPU since Ampere) pictures take half as long again."
PACKAGES = ("tensorflow", "keras", "gradio", "numpy", "pillow")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    fact: str
    advice: str = ""  # what to do; empty where nothing is wrong
    fatal: bool = False  # nothing can be painted


def look_around() -> Iterator[Finding]:
    """What can be told at once."""
    yield Finding("machine", machine.describe(PACKAGES), _on_cores(machine.cores() or 1))
    yield _memory()
    yield from _folders()
    yield _examples()
    yield _vgg19()
    chosen, complaint = weights.preferred()
    if complaint:
        yield Finding("NST_NETWORK", chosen, complaint)
    most = limits.here()
    yield Finding("page", f"up to {most.size} pixels and {most.steps} steps for each visitor")


def try_out(studio: "Studio") -> Iterator[Finding]:
    """What takes seconds to find out: the studio's default network is loaded and paints a little."""
    try:
        machine.import_tensorflow()
        import tensorflow as tf

        studio.warm()
        engine = studio.engine(Settings())
        if studio.unready:
            raise RuntimeError(studio.unready)
    except Exception as error:  # whatever is broken, a person is to be told in a sentence
        said = isinstance(error, ValueError)  # then the error tells what to do
        fact = " ".join(f"cannot paint: {'' if said else type(error).__name__ + ': '}{error}".split())[:300]
        advice = "" if said else "Install anew: pip install -r requirements.txt"
        yield Finding("network", fact, advice, fatal=True)
        return
    network, settings = engine.network, Settings()
    yield _gpu([device.name for device in tf.config.list_physical_devices("GPU")])
    yield Finding("arithmetic", network.precision, "" if network.precision == "bfloat16" else SLOW)
    yield Finding("network", f"{network.name}, {network.weights_hash}. {network.reason}")
    seconds = engine.expected_seconds(*_starry_night(), settings)
    yield Finding("speed", f"the Starry Night pairing at {settings.size} pixels takes about {seconds:.0f} seconds")


def _starry_night() -> tuple[int, int]:
    """Height and width of the photo in the pairing that the page begins with."""
    pair = next(pair for pair in catalogue.PAIRS if pair.name == "starry-night")
    _, height, width, _ = images.load(catalogue.find(pair.content).path, longest_side=512).shape
    return height, width


def _on_cores(cores: int) -> str:
    return "With a second core the page would answer while it paints." if cores < 2 else ""


def _memory() -> Finding:
    free = memory.available()
    if free is None:
        return Finding("memory", "this system does not tell how much is free")
    short = free < 3 * GB
    advice = "Below 3 GB large pictures are lowered in size: give it more, or close other programs." if short else ""
    return Finding("memory", f"{free / GB:.1f} GB are free", advice)


def _folders() -> Iterator[Finding]:
    """Where files are kept: weights and fetched paintings at home, visitors' pictures in the temporary folder."""
    for name, folder, change in (
        ("cache", str(machine.expand_home("~/")), "HOME"),
        ("pictures", os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir(), "GRADIO_TEMP_DIR"),
    ):
        while not os.path.exists(folder):  # it will be made
            folder = os.path.dirname(folder) or "."
        if not os.access(folder, os.W_OK):
            yield Finding(name, f"{folder} cannot be written", f"Let {change} name a folder that can be.")
            continue
        free = shutil.disk_usage(folder).free
        advice = f"Make room, or let {change} name a folder on a larger disk." if free < ROOM else ""
        yield Finding(name, f"{folder}: {free / GB:.1f} GB are free", advice)


def _examples() -> Finding:
    here, missing = len(catalogue.examples()), len(catalogue.missing())
    advice = f"{missing} more paintings: python -m nst examples --fetch" if missing else ""
    return Finding("examples", f"{here} photos and paintings can be named", advice)


def _vgg19() -> Finding:
    if path := weights.find_vgg19():
        return Finding("VGG-19", f"its weights are at {path}")
    advice = "Keras downloads them when a picture asks for them: --network vgg19. The compact network needs none."
    if "SPACE_ID" in os.environ:
        advice = "With NST_NETWORK=vgg19 they are downloaded when the Space starts. The compact network needs none."
    if named := os.environ.get("NST_VGG19"):
        advice = f"NST_VGG19 names {named}, which is not here."
    return Finding("VGG-19", "its weights are not on this machine", advice)


def _gpu(used: list[str]) -> Finding:
    seen = machine.gpus()
    fact = ", ".join(f"{name}, {memory / GB:.0f} GB" if memory else name for name, memory in seen) or "none"
    if seen and not used:
        return Finding("GPU", f"{fact}: TensorFlow does not use it", "pip install 'tensorflow[and-cuda]'")
    return Finding("GPU", ", ".join(used) if used and not seen else fact)
