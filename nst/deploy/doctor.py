"""`python -m nst doctor`: what this machine can paint, how large and how fast, and how to fix what is missing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nst import catalogue, cluster, images, machine, memory, weights
from nst.page import limits
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.page.studio import Studio

GB = 10**9
MIN_DISK = 2 * GB  # bytes: 80 MB for VGG-19's weights, the rest for a day of visitors' pictures
SLOW = "Without fast bfloat16 (AMX, AVX512-BF16, or an Ampere or newer GPU), a picture takes 1.5 times as long."
PACKAGES = ("tensorflow", "keras", "gradio", "numpy", "pillow")


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    fact: str
    advice: str = ""  # what to do; empty if nothing is wrong
    fatal: bool = False  # nothing can be painted


def check_machine() -> Iterator[Finding]:
    """The checks that take no time."""
    yield Finding("machine", machine.describe(PACKAGES), _cores_advice(machine.cores() or 1))
    yield _memory()
    yield from _folders()
    yield _examples()
    yield _vgg19()
    chosen, complaint = weights.preferred()
    if complaint:
        yield Finding("NST_NETWORK", chosen, complaint)
    if os.environ.get("NST_CLUSTER"):
        yield _painters()
    most = limits.current()
    yield Finding("page", f"up to {most.size} pixels and {most.steps} steps for each visitor")


def check_painting(studio: "Studio") -> Iterator[Finding]:
    """The checks that take seconds: load the studio's default network and paint a few steps."""
    try:
        machine.import_tensorflow()
        import tensorflow as tf

        studio.warm()
        engine = studio.engine(Settings())
        if studio.unready:
            raise RuntimeError(studio.unready)
    except Exception as error:  # report whatever is broken in one sentence
        explained = isinstance(error, ValueError)  # then the error says what to do
        fact = " ".join(f"cannot paint: {'' if explained else type(error).__name__ + ': '}{error}".split())[:300]
        advice = "" if explained else "Reinstall: pip install -r requirements.txt"
        yield Finding("network", fact, advice, fatal=True)
        return
    network, settings = engine.network, Settings()
    yield _gpu([device.name for device in tf.config.list_physical_devices("GPU")])
    yield Finding("arithmetic", network.precision, "" if network.precision == "bfloat16" else SLOW)
    yield Finding("network", f"{network.name}, {network.weights_hash}. {network.reason}")
    seconds = engine.expected_seconds(*_starry_night(), settings)
    yield Finding("speed", f"the Starry Night pair at {settings.size} pixels takes about {seconds:.0f} seconds")


def _starry_night() -> tuple[int, int]:
    """Height and width of the photo in the first pair on the page."""
    pair = next(pair for pair in catalogue.PAIRS if pair.name == "starry-night")
    _, height, width, _ = images.load(catalogue.find(pair.content).path, longest_side=512).shape
    return height, width


def _cores_advice(cores: int) -> str:
    return "A second core would keep the page responsive while it paints." if cores < 2 else ""


def _memory() -> Finding:
    free = memory.available()
    if free is None:
        return Finding("memory", "this system does not report free memory")
    short = free < 3 * GB
    advice = "Below 3 GB, large pictures are reduced in size. Add memory or close other programs." if short else ""
    return Finding("memory", f"{free / GB:.1f} GB are free", advice)


def _folders() -> Iterator[Finding]:
    """Check the folders: downloads are kept in the home folder, visitors' pictures in the temporary folder."""
    for name, folder, variable in (
        ("cache", str(machine.expand_home("~/")), "HOME"),
        ("pictures", os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir(), "GRADIO_TEMP_DIR"),
    ):
        while not os.path.exists(folder):  # it will be created
            folder = os.path.dirname(folder) or "."
        if not os.access(folder, os.W_OK):
            yield Finding(name, f"{folder} is not writable", f"Set {variable} to a writable folder.")
            continue
        free = shutil.disk_usage(folder).free
        advice = f"Free some space, or set {variable} to a folder on a larger disk." if free < MIN_DISK else ""
        yield Finding(name, f"{folder}: {free / GB:.1f} GB are free", advice)


def _examples() -> Finding:
    here, missing = len(catalogue.examples()), len(catalogue.missing())
    advice = f"{missing} more paintings: python -m nst examples --fetch" if missing else ""
    return Finding("examples", f"{here} photos and paintings are available by name", advice)


def _vgg19() -> Finding:
    if path := weights.find_vgg19():
        return Finding("VGG-19", f"its weights are at {path}")
    advice = "Keras downloads them on request: --network vgg19. The compact network does not need them."
    if "SPACE_ID" in os.environ:
        advice = (
            "With NST_NETWORK=vgg19 they are downloaded when the Space starts. The compact network does not need them."
        )
    if named := os.environ.get("NST_VGG19"):
        advice = f"NST_VGG19 is {named}, which is no file here."
    return Finding("VGG-19", "its weights are not on this machine", advice)


def _painters() -> Finding:
    try:
        return Finding("painters", str(cluster.pool()))
    except ValueError as error:
        return Finding("painters", str(error), fatal=True)


def _gpu(used: list[str]) -> Finding:
    seen = machine.gpus()
    fact = ", ".join(f"{name}, {memory / GB:.0f} GB" if memory else name for name, memory in seen) or "none"
    if seen and not used:
        return Finding("GPU", f"{fact}: TensorFlow does not use it", "pip install 'tensorflow[and-cuda]'")
    return Finding("GPU", ", ".join(used) if used and not seen else fact)
