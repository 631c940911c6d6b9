"""All settings of a run, with default, range and help text.  Standard library only.

The page's sliders, the command line's flags and the engine all read this table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from numbers import Real
from typing import Any

STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
MIN_STYLE = 64  # pixels of a painting's longest side that fine strokes leave, where the image has as many
LIVE = (  # settings that may change during a run
    "strength",
    "content_layers",
    "style_layers",
    "style_statistics",
    "composition",
    "focus",
    "content_weight",
    "style_weight",
    "total_variation_weight",
    "color",
    "color_amount",
    "style_blend",
    "style_scale",
    "detail",
)
FOLLOWING_STEPS = 60  # steps left, at least, after such a change
FULL_SIZE = 512  # pixels of the longest side; `Settings.at_scale` adjusts the loss of smaller images


def _knob(default: Any, help: str, low: float = 0, high: float = 0, choices: Sequence[str] = ()) -> Any:
    return field(
        default_factory=lambda: dict(default) if isinstance(default, dict) else default,
        metadata={"help": help, "low": low, "high": high, "choices": tuple(choices)},
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run.  Immutable; `dataclasses.replace` makes a changed copy.

    Raises:
        ValueError: one sentence with the field, the value given and the values allowed.
    """

    size: int = _knob(512, "longest side of the finished picture, in pixels", 64, 8192)
    strength: float = _knob(50.0, "0 keeps the photo, 100 lets the painting win; +25 multiplies β/α by ten", 0, 100)

    network: str = _knob("auto", "the network that compares the pictures", choices=("auto", "compact", "vgg19"))
    weights: str = _knob("", "VGG-19 or VGG-16 weights file: Keras .h5, NumPy .npz or MatConvNet .mat")
    sketch: str = _knob(
        "compact",
        "with a VGG, the network for all scales but the last: compact, or the VGG itself",
        choices=("compact", "itself"),
    )
    pooling: str = _knob("average", "pooling between the network's blocks", choices=("average", "max"))
    precision: str = _knob("auto", "floating-point type inside the network", choices=("auto", "float32", "bfloat16"))

    content_layers: dict[str, float] = _knob(
        {"block4_conv2": 1.0}, "layers compared with the photo, and their weights", 0, 1e6
    )
    style_layers: dict[str, float] = _knob(
        dict.fromkeys(STYLE_LAYERS, 1.0) | {"block5_conv1": 0.05},
        "layers compared with the painting, and their weights λ",
        0,
        1e6,
    )
    style_statistics: str = _knob("gram", "statistics compared per style layer", choices=("gram", "covariance"))
    normalization: str = _knob(
        "relative",
        "relative: dimensionless losses; paper: the formulas of Gatys et al.",
        choices=("relative", "paper"),
    )
    composition: float = _knob(
        2.0, "how firmly coarse scales keep the photo's layout; 0: objects from the painting may appear", 0, 4
    )
    focus: float = _knob(
        1.0, "how much more the photo's detailed areas count than flat ones such as sky; 0: equally", 0, 1
    )
    content_weight: float = _knob(0.1, "α, weight of the content loss", 0, 1e6)
    style_weight: float = _knob(1.0, "β, weight of the style loss", 0, 1e6)
    total_variation_weight: float = _knob(5.0, "γ, weight of the total variation loss; higher is smoother", 0, 1e6)
    temporal_weight: float = _knob(
        100.0, "weight of the temporal loss; in a film, higher keeps more of the frame before", 0, 1e6
    )
    color: str = _knob(
        "painting",
        "whose colors: the painting's; match: the painting's colors are first matched to the photo's; luminance: only "
        "lightness is painted",
        choices=("painting", "match", "luminance"),
    )
    color_amount: float = _knob(1.0, "how much of the photo's colors `color` keeps, if not painting", 0, 1)
    style_blend: tuple[float, ...] = _knob((), "share of each painting in a blend; default: equal shares", 0, 1e6)
    style_scale: float = _knob(1.0, "size of the painting relative to the result; smaller gives finer strokes", 0.1, 4)

    init: str = _knob("content", "image to start from", choices=("content", "noise", "style", "mix"))
    noise_ratio: float = _knob(0.6, "share of noise in the start image `mix`; the rest is the photo", 0, 1)
    seed: int = _knob(0, "random seed of the noise", 0, 2**31 - 1)

    steps: tuple[int, ...] = _knob(
        (200, 100, 50), "steps at each scale, coarsest first; the last number repeats for further scales", 1, 10000
    )
    tolerance: float = _knob(
        0.0, "end a scale once 20 steps change the image by less than this on average, in 1/255; 0: never", 0, 255
    )
    min_scale: int = _knob(128, "lower limit for the coarsest scale's longest side, in pixels", 32, 4096)
    scale_factor: float = _knob(2.0, "each scale is this many times larger than the one before", 1.1, 8)
    detail: float = _knob(1.0, "share of the photo's fine detail added at each larger scale", 0, 1)
    optimizer: str = _knob(
        "adam", "optimizer of the pixels; both evaluate the loss once per step", choices=("adam", "lbfgs")
    )
    learning_rate: float = _knob(0.04, "step of Adam, maximum step of L-BFGS, in units of the [0, 1] image", 1e-5, 1)
    averaging: float = _knob(0.9, "decay of the running average of iterates that is shown; 0: no averaging", 0, 0.9999)
    padding: int = _knob(16, "pixels of reflection padding around the network's input", 0, 256)
    tile: int = _knob(
        0, "larger scales are computed in tiles of about this many pixels a side; 0: where memory demands it", 0, 8192
    )
    frames_per_second: float = _knob(4.0, "maximum number of intermediate pictures per second", 0.01, 60)

    def __post_init__(self) -> None:
        for knob in fields(self):
            object.__setattr__(self, knob.name, _checked(knob, getattr(self, knob.name)))
        for name in ("content_layers", "style_layers"):
            if sum(getattr(self, name).values()) <= 0:
                raise ValueError(f"{name}: at least one layer needs a weight above 0")
        if self.style_blend and sum(self.style_blend) <= 0:
            raise ValueError("style_blend: at least one painting needs a share above 0")
        if not self.steps:
            raise ValueError("steps: at least one number is needed")
        if self.normalization == "paper" and self.style_statistics != "gram":
            raise ValueError("normalization: 'paper' is defined for style_statistics 'gram' only")

    @property
    def of_network(self) -> tuple[str, str, str, str]:
        """What decides which network is loaded, and how it computes."""
        return self.network, self.weights, self.pooling, self.precision

    @property
    def loss_weights(self) -> dict[str, float]:
        """α, β and γ by loss name, adjusted by `strength`; at strength 50 the three weights as given."""
        tilt = 10 ** ((self.strength - 50) / 50)  # applied to both α and β, so that γ keeps its share
        return {
            "content": self.content_weight / tilt,
            "style": self.style_weight * tilt,
            "total_variation": self.total_variation_weight,
        }

    def at_scale(self, side: int) -> "Settings":
        """Adjust the loss for an image whose longest side is `side` pixels; no change from FULL_SIZE on.

        In a small image, one position of a deep layer sees whole objects of the painting, and its style loss paints
        them into the photo.  So below FULL_SIZE the deep style layers weigh less, the content loss weighs more, and
        flat areas count nearly as much as detailed ones.  `normalization` "paper" keeps the published formulas.
        """
        coarseness = FULL_SIZE / side
        if coarseness <= 1 or self.normalization == "paper":
            return self
        firmness = coarseness**self.composition
        deep = {layer: weight / firmness**0.5 for layer, weight in self.style_layers.items() if layer >= "block4"}
        return replace(
            self,
            content_weight=min(self.content_weight * firmness**0.25, 1e6),
            style_layers=self.style_layers | deep,
            focus=self.focus / coarseness,
        )

    def style_side(self, side: int) -> int:
        """Longest side of a painting, in pixels, for an image of this one; a smaller painting is never upscaled.

        Below MIN_STYLE it would have too few positions for its statistics, and the image become colored noise.
        """
        return max(round(side * self.style_scale), min(side, MIN_STYLE))

    def following(self, wanted: "Settings") -> "Settings":
        """These settings with those that are LIVE taken from `wanted`."""
        return replace(self, **{name: getattr(wanted, name) for name in LIVE})

    def with_more_steps(self, steps: int) -> "Settings":
        """These settings with more steps at the last scale."""
        *before, last = (count for _, count in self.scales())
        return replace(self, steps=(*before, last + steps)) if steps else self

    def scales(self) -> list[tuple[int, int]]:
        """(longest side in pixels, steps) of each scale, coarsest first; the last side is `size`."""
        sides = [self.size]
        while round(sides[0] / self.scale_factor) >= self.min_scale:
            sides.insert(0, round(sides[0] / self.scale_factor))
        return [(side, self.steps[min(index, len(self.steps) - 1)]) for index, side in enumerate(sides)]


def _checked(knob: Field, value: Any) -> Any:
    """`value` converted to the type of the setting.  Raises ValueError if it is not allowed."""
    if knob.type is str:
        choices = knob.metadata["choices"]
        if not isinstance(value, str) or (choices and value not in choices):
            raise ValueError(f"{knob.name}: {value!r} should be {' or '.join(choices) or 'text'}")
        return value
    if knob.type == dict[str, float]:
        if not isinstance(value, Mapping):
            raise ValueError(f"{knob.name}: {value!r} should be layer names with their weights")
        return {str(layer): _number(knob, weight, float) for layer, weight in value.items()}
    if knob.type in (int, float):
        return _number(knob, value, knob.type)
    if not isinstance(value, Sequence):
        raise ValueError(f"{knob.name}: {value!r} should be a list of numbers")
    return tuple(_number(knob, item, int if knob.type == tuple[int, ...] else float) for item in value)


def _number(knob: Field, value: Any, kind: type) -> Any:
    low, high = knob.metadata["low"], knob.metadata["high"]
    whole = kind is float or (isinstance(value, Real) and value == value // 1)
    if not isinstance(value, Real) or not whole or not low <= value <= high:
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"{knob.name}: {value!r} should be {noun} from {low:.10g} to {high:.10g}")
    return kind(value)
