"""The picture under way: how it starts, what is shown of it, how it grows, how it is put aside and taken up again."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nst import images
from nst.optimizers import Adam, Memory
from nst.settings import Settings


@dataclass(frozen=True)
class Checkpoint:
    """Where a run can go on from: plain values, with at most 16 bytes for each one of the frame's image."""

    image: np.ndarray  # float32 (1, H, W, 3) in [0, 1]: the optimizer's latest iterate
    average: np.ndarray  # the same: the running average of iterates, which is what the frame shows
    weight: float  # of the iterates in the average so far, 0 to 1
    memory: tuple[np.ndarray, ...]  # Adam's; empty before its first step and after L-BFGS
    step: int  # steps done in the whole run
    left: int  # steps still to do at this scale
    elapsed: float  # seconds since the run began
    paces: dict[int, float]  # the `Progress`'s

    def forgetful(self) -> "Checkpoint":
        """The same picture with the optimizer's memory empty, to go on with other settings."""
        return replace(self, memory=())


class Canvas(NamedTuple):
    """The picture at one scale, as the optimizer has it and as it is shown."""

    image: tf.Tensor  # float32 (1, H, W, 3) in [0, 1]: the latest iterate
    average: tf.Tensor  # the same: the running average of iterates
    weight: tf.Tensor  # float32 scalar: of the iterates in the average so far, 0 to 1
    memory: Memory | None  # the optimizer's, perhaps at the size of the scale before

    @classmethod
    def started(cls, picture: np.ndarray, memory: Memory | None = None) -> "Canvas":
        """Before a scale's first step."""
        image = tf.constant(picture)
        return cls(image, image, tf.zeros(()), memory)

    @classmethod
    def restored(cls, checkpoint: Checkpoint) -> "Canvas":
        """As it was when the checkpoint was made."""
        image, average, *memory = map(tf.constant, (checkpoint.image, checkpoint.average, *checkpoint.memory))
        return cls(image, average, tf.constant(checkpoint.weight), Adam(*memory) if memory else None)

    def after(self, image: tf.Tensor, memory: Memory, averaging: tf.Tensor) -> "Canvas":
        """With one more iterate in the average, divided by their weight: Adam's correction for the first steps."""
        weight = averaging * self.weight + 1 - averaging
        average = self.average + (1 - averaging) / weight * (image - self.average)
        return Canvas(image, average, weight, memory)

    def grown(self, photo: np.ndarray, detail: float) -> "Canvas":
        """What is shown, at the photo's size."""
        return self.started(_finer(self.average.numpy(), photo, detail), self.memory)


def start(photo: np.ndarray, style: np.ndarray, settings: Settings) -> np.ndarray:
    """The picture to start from, of the photo's size: float32 (1, H, W, 3) in [0, 1]."""
    noise = np.random.default_rng(settings.seed).random(photo.shape, np.float32)
    ratio = np.float32(settings.noise_ratio)
    return {
        "content": lambda: photo,
        "noise": lambda: noise,
        "style": lambda: images.resize(style, *photo.shape[1:3]),
        "mix": lambda: ratio * noise + (1 - ratio) * photo,
    }[settings.init]()


def _finer(picture: np.ndarray, photo: np.ndarray, detail: float) -> np.ndarray:
    """`picture` enlarged to the photo's size, with `detail` of what the photo shows only at this size.

    Without it an enlarged picture is blurred, and the optimizer fills the blur with ripples instead of strokes.
    """
    size = photo.shape[1:3]
    blurred = images.resize(images.resize(photo, *picture.shape[1:3]), *size)
    return np.clip(images.resize(picture, *size) + detail * (photo - blurred), 0, 1).astype(np.float32)
