"""The image being painted: its start, its running average, upscaling, and checkpoints."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nst import images
from nst.optimizers import Adam, State
from nst.settings import Settings


@dataclass(frozen=True)
class Checkpoint:
    """What a run resumes from: plain values, at most 16 bytes for each number of the image."""

    image: np.ndarray  # float32 (1, H, W, 3) in [0, 1]: the latest iterate
    average: np.ndarray  # likewise: the running average of iterates, which frames show
    weight: float  # total weight of the iterates in `average`, 0 to 1
    state: tuple[np.ndarray, ...]  # Adam's; empty before its first step and after L-BFGS
    step: int  # steps done in the whole run
    steps_left: int  # at this scale
    elapsed: float  # seconds since the run began
    step_times: dict[int, float]  # `Progress.step_times`
    chroma_amount: float = 0.0  # `color.chroma_amount` of the settings


class Canvas(NamedTuple):
    """The image at one scale, with its running average and the optimizer state."""

    image: tf.Tensor  # float32 (1, H, W, 3) in [0, 1]: the latest iterate
    average: tf.Tensor  # likewise: the running average of iterates, which frames show
    weight: tf.Tensor  # float32 scalar, 0 to 1: total weight of the iterates in `average`
    state: State | None  # the optimizer's; at the start of a scale it has the size of the previous one

    @classmethod
    def initial(cls, picture: np.ndarray, state: State | None = None) -> "Canvas":
        """The canvas before the first step of a scale."""
        image = tf.constant(picture)
        return cls(image, image, tf.zeros(()), state)

    @classmethod
    def restored(cls, checkpoint: Checkpoint) -> "Canvas":
        """The canvas as saved in a checkpoint."""
        image, average, *state = map(tf.constant, (checkpoint.image, checkpoint.average, *checkpoint.state))
        return cls(image, average, tf.constant(checkpoint.weight), Adam(*state) if state else None)

    def updated(self, image: tf.Tensor, state: State, averaging: tf.Tensor) -> "Canvas":
        """The canvas with one more iterate; the average is bias-corrected as in Adam."""
        weight = averaging * self.weight + 1 - averaging
        average = self.average + (1 - averaging) / weight * (image - self.average)
        return Canvas(image, average, weight, state)

    def upscaled(self, photo: np.ndarray, detail: float) -> "Canvas":
        """The average, upscaled to the photo's size, as the start of the next scale."""
        return self.initial(_upscaled(np.asarray(self.average), photo, detail), self.state)


def start_image(photo: np.ndarray, style: np.ndarray, settings: Settings, grey: bool) -> np.ndarray:
    """The start image, of the photo's size: float32 (1, H, W, 3) in [0, 1]; `grey` makes its noise so."""
    noise = np.random.default_rng(settings.seed).random(photo.shape, np.float32)
    if grey:
        noise[:] = noise[..., :1]
    ratio = np.float32(settings.noise_ratio)
    return {
        "content": lambda: photo,
        "noise": lambda: noise,
        "style": lambda: images.resize(style, *photo.shape[1:3]),
        "mix": lambda: ratio * noise + (1 - ratio) * photo,
    }[settings.init]()


def _upscaled(picture: np.ndarray, photo: np.ndarray, detail: float) -> np.ndarray:
    """Upscale to the photo's size and add `detail` times what the photo loses when downscaled to `picture`.

    Otherwise an upscaled picture is blurred, and the optimizer fills the blur with ripples instead of strokes.
    """
    size = photo.shape[1:3]
    fine = images.resize(images.resize(photo, *picture.shape[1:3]), *size)
    np.subtract(photo, fine, out=fine)  # in place: each copy of a large picture takes 800 MB
    fine *= detail
    fine += images.resize(picture, *size)
    return fine.clip(0, 1, out=fine)
