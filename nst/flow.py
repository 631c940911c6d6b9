"""Optical flow between the frames of a film, and where it can be trusted (Ruder, Dosovitskiy and Brox 2016,
arXiv:1604.08610, section 4).  Needs OpenCV.
"""

from typing import Any, NamedTuple

import numpy as np

from nst.images import fit

SAME = 0.1  # difference of the colors around two pixels, of 1, below which they may show the same thing
THUMBNAIL = 32  # pixels of the longest side at which colors are looked up
SIMILAR, NEARBY = 0.1, 0.3  # standard deviations of how far: of colors in [0, 1], and of the longest side
CUT = 0.3  # share of pixels that show the same thing, below which there is a cut between two frames


class Previous(NamedTuple):
    """The frame of a film before this one, warped to where things are now."""

    image: np.ndarray  # float32 (1, H, W, 3) in [0, 1], as it is shown
    weights: np.ndarray  # float32 (1, H, W, 1) in [0, 1]: how certain each pixel is


class Motion(NamedTuple):
    """From the frame before to this one."""

    flow: np.ndarray  # float32 (H, W, 2): where each pixel was, relative to where it is: right, down, in pixels
    weights: np.ndarray  # float32 (H, W): 1 where that is consistent, else 0
    known: np.ndarray  # bool (H, W): whether the frame before shows it, consistent or not
    is_cut: bool  # whether the two show different scenes


def obstacle() -> str:
    """Why there is no optical flow here, in one sentence, or ""."""
    try:
        import cv2
    except ImportError as error:
        return f"Films need the package opencv-python-headless (pip install 'opencv-python-headless>=4.10'): {error}."
    return (
        "" if hasattr(cv2, "DISOpticalFlow_create") else "Films need the package opencv-python-headless, 4.10 or later."
    )


def motion(before: np.ndarray, after: np.ndarray) -> Motion:
    """The motion between two frames of one size, uint8 (H, W, 3)."""
    import cv2

    # The search spreads matches within a stripe for each thread: with one, the result is the same on every machine.
    cv2.setNumThreads(1)
    old, new = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    backward, forward = _dense(new, old), _dense(old, new)
    difference = np.abs(warp(before, backward).astype(np.float32) - after).mean(axis=-1) / 255
    known = _inside(backward) & (cv2.blur(difference, (5, 5)) < SAME)
    consistent = known & _is_consistent(backward, forward)
    return Motion(backward, consistent.astype(np.float32), known, float(consistent.mean()) < CUT)


def warp(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A frame (H, W, channels), moved to where the flow says that it was; beyond its edges it repeats them."""
    import cv2

    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(frame, *at, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def previous(painted: np.ndarray, photo: np.ndarray, motion: Motion) -> Previous:
    """What a frame begins with: the painted one before, moved; the photo in its colors where that shows another thing.

    Args:
        painted: the frame before, uint8 (H, W, 3).
        photo: the frame to paint, likewise.
    """
    moved = warp(painted, motion.flow) / np.float32(255)
    if not motion.known.all():
        moved = np.where(motion.known[..., np.newaxis], moved, _recolored(photo / np.float32(255), moved, motion.known))
    return Previous(moved[np.newaxis], motion.weights[np.newaxis, ..., np.newaxis])


def _recolored(photo: np.ndarray, painted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The photo in the colors that the painting gives to similar colors nearby, float32 (H, W, 3) in [0, 1].

    Few steps paint strokes, but do not change the colors of large areas.
    """
    import cv2

    height, width = known.shape
    rows, columns = fit(height, width, THUMBNAIL)

    def reduced(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows * columns, -1)

    share = reduced(known.astype(np.float32))
    change = reduced((painted - photo) * known[..., np.newaxis])  # times the share
    places = np.indices((rows, columns)).reshape(2, -1).T / (NEARBY * THUMBNAIL)
    features = np.concatenate((reduced(photo) / SIMILAR, places), axis=1)
    distances = _square(features[:, np.newaxis] - features[np.newaxis])
    affinity = np.exp(-distances / 2) + 1e-6
    offset = (affinity @ change / (affinity @ share).clip(1e-6)).reshape(rows, columns, 3).astype(np.float32)
    return (photo + cv2.resize(offset, (width, height), interpolation=cv2.INTER_LINEAR)).clip(0, 1)


def flicker(before: np.ndarray, after: np.ndarray, motion: Motion) -> float:
    """Root mean square difference of two painted frames, uint8 (H, W, 3), where the motion is consistent, of 255."""
    squares = (warp(before, motion.flow).astype(np.float32) - after) ** 2
    return float(np.sqrt(np.average(squares.mean(axis=-1), weights=motion.weights)))


def _dense(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(start, end, None)  # type: ignore[arg-type]


def _inside(flow: np.ndarray) -> np.ndarray:
    """Whether each pixel was within the frame before, bool (H, W)."""
    height, width = flow.shape[:2]
    rows, columns = np.indices((height, width)) + np.moveaxis(flow[..., ::-1], -1, 0)
    return (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)


def _is_consistent(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Where the flow back and forth leads to the same pixel, away from the boundaries of motion (eq. 5 and 6)."""
    there = warp(forward, backward)
    error, length = _square(there + backward), _square(there) + _square(backward)
    gradients: Any = [np.gradient(backward[..., axis]) for axis in (0, 1)]
    edges = sum(slope**2 for pair in gradients for slope in pair)
    return (error <= 0.01 * length + 0.5) & (edges <= 0.01 * _square(backward) + 0.002)


def _square(vectors: np.ndarray) -> np.ndarray:
    return (vectors**2).sum(axis=-1)
