"""Every knob has a default, a range and a help text, and refuses what is outside with a sentence."""

import math
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from nst.settings import Settings


def test_every_knob_explains_itself():
    for knob in fields(Settings):
        assert knob.metadata["help"], knob.name
        if knob.type is not str:
            assert knob.metadata["low"] < knob.metadata["high"], knob.name


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("size", 10, "a whole number from 64 to 8192"),
        ("size", 512.5, "a whole number"),
        ("size", "big", "a whole number"),
        ("size", None, "a whole number"),
        ("strength", math.nan, "a number from 0 to 100"),
        ("strength", -1, "a number from 0 to 100"),
        ("network", "resnet", "auto or compact or vgg19"),
        ("weights", 3, "text"),
        ("pooling", "median", "average or max"),
        ("style_layers", "block1_conv1", "layer names with their weights"),
        ("style_layers", {"block1_conv1": -1}, "a number from 0"),
        ("style_layers", {}, "at least one layer"),
        ("content_layers", {"block4_conv2": 0}, "at least one layer"),
        ("steps", (), "at least one number"),
        ("steps", (100, 0), "a whole number from 1"),
        ("steps", 100, "a list of numbers"),
        ("steps", "300", "a whole number"),
        ("style_blend", (1, math.inf), "a number from 0"),
        ("learning_rate", 0, "a number from 1e-05"),
    ],
)
def test_wrong_values_get_one_sentence_with_the_field_and_what_is_right(field, value, right):
    with pytest.raises(ValueError) as error:
        Settings(**{field: value})
    assert str(error.value).startswith(field) and right in str(error.value) and "\n" not in str(error.value)


def test_the_papers_formulas_are_for_gram_matrices():
    with pytest.raises(ValueError, match="^normalization: 'paper' is defined for style_statistics 'gram' only$"):
        Settings(normalization="paper", style_statistics="covariance")


def test_numbers_take_the_type_of_their_knob():
    settings = Settings(size=256.0, strength=70, steps=[10, 20.0], style_layers={"block1_conv1": 2})
    assert (settings.size, settings.strength, settings.steps) == (256, 70.0, (10, 20))
    assert isinstance(settings.size, int) and isinstance(settings.style_layers["block1_conv1"], float)


def test_defaults_are_not_shared():
    Settings().style_layers["block1_conv1"] = 0.0
    assert Settings().style_layers["block1_conv1"] == 1.0


@pytest.mark.parametrize(("strength", "ratio"), [(0, 0.01), (25, 0.1), (50, 1), (75, 10), (100, 100)])
def test_strength_moves_the_balance_by_decades(strength, ratio):
    settings = Settings(strength=strength, content_weight=3, style_weight=3, total_variation_weight=5)
    alpha, beta, gamma = settings.loss_weights.values()
    assert beta / alpha == pytest.approx(ratio)
    assert gamma == 5


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        ({"size": 512}, [(128, 9), (256, 5), (512, 2)]),
        ({"size": 1024}, [(128, 9), (256, 5), (512, 2), (1024, 2)]),
        ({"size": 300}, [(150, 9), (300, 5)]),
        ({"size": 100}, [(100, 9)]),
        ({"size": 256, "scale_factor": math.sqrt(2)}, [(128, 9), (181, 5), (256, 2)]),
    ],
)
def test_scales_grow_to_the_asked_size(changes, scales):
    assert replace(Settings(steps=(9, 5, 2)), **changes).scales() == scales


def test_settings_need_nothing_but_the_standard_library():
    code = "import sys, nst.settings; print([m for m in ('numpy', 'PIL', 'tensorflow', 'keras') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_smaller_the_picture_the_more_the_photo_counts_and_the_less_deep_layers_do():
    settings = Settings(composition=1, style_layers={"block3_conv1": 2, "block4_conv1": 1, "block5_conv1": 0.5})
    small = settings.at_scale(32)
    assert small.content_weight == 2 * settings.content_weight
    assert small.style_layers == {"block3_conv1": 2, "block4_conv1": 0.25, "block5_conv1": 0.125}
    assert replace(settings, composition=2).at_scale(128) == replace(small, composition=2, focus=1 / 4)
    assert small.focus == settings.focus / 16
    untouched = (
        replace(settings, composition=0, focus=0),
        replace(settings, style_statistics="gram", normalization="paper"),
    )
    assert all(each.at_scale(32) == each for each in untouched)
    assert settings.at_scale(512) == settings.at_scale(4096) == settings


def test_no_weight_leaves_its_range():
    settings = Settings(content_weight=1e6, composition=4, style_layers={"block5_conv1": 1e-300})
    assert settings.at_scale(1).content_weight == 1e6
