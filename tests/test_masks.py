"""Masks: their files, regions, and what they do to a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nst import images, masks, recipe
from nst.images import ImageError
from nst.losses import style_loss, style_statistics
from nst.masks import EVERYWHERE, Masks
from nst.objective import Objective, losses_and_gradient, style_targets
from nst.painting import Painting
from nst.settings import Settings
from nst.transfer import StyleTransfer
from tests import toy
from tests.painter import Painter

SHAPE = (64, 96)
PHOTO, PAINTING = toy.picture(*SHAPE), toy.picture(80, 80, seed=1)[..., ::-1].copy()


def half(side: str, shape: tuple[int, int] = SHAPE, edge: float = 0.5) -> np.ndarray:
    """1 in one half of the image, "left", "right" or "top"."""
    mask = np.zeros(shape, np.float32)
    if side == "top":
        mask[: round(edge * shape[0])] = 1
    else:
        mask[:, : round(edge * shape[1])] = 1
    return 1 - mask if side == "right" else mask


def load(_: Settings) -> Any:
    """A painter that blends."""
    return Painter(steps=2).released()


@pytest.fixture(scope="module")
def engine():
    return StyleTransfer(toy.network())


# --- Files ------------------------------------------------------------------------------------------------------------


def test_white_is_where_it_applies_and_its_outline_is_soft(tmp_path):
    drawn = np.zeros((400, 600), np.uint8)
    drawn[:, :300] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    mask = masks.read(tmp_path / "mask.png")
    assert (mask.shape, mask.dtype) == ((85, 128), np.float32)
    row = mask[40]
    assert row[0] == 1 and row[-1] == 0 and (np.diff(row) <= 0).all()
    assert row[63:65].mean() == pytest.approx(0.5, abs=0.02)
    assert 2 <= ((row > 0.05) & (row < 0.95)).sum() <= 8  # about four standard deviations of 1/100 of the side
    clear = np.dstack((np.full((400, 600, 3), 255, np.uint8), drawn))
    Image.fromarray(clear).save(tmp_path / "clear.png")
    np.testing.assert_allclose(masks.read(tmp_path / "clear.png"), mask, atol=0.01)  # transparent means black


def test_a_mask_survives_its_file_and_its_recipe(tmp_path):
    mask = masks.feathered(half("left", (300, 500)))
    np.testing.assert_array_equal(masks.decode(masks.encode(mask)), mask)
    assert len(masks.encode(mask)) < recipe.MAX_MASK
    Image.fromarray(np.rint(mask * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(masks.read(tmp_path / "mask.png"), mask)  # it is not blurred once more


@pytest.mark.parametrize("text", ["", "?", "aGVsbG8=", "iVBORw0KGgo="])
def test_what_is_no_mask_is_refused(text):
    with pytest.raises(ValueError):
        masks.decode(text)


def test_masks_that_do_not_fit():
    masks.check(Masks((None, half("left")), half("top")), 2)
    with pytest.raises(ValueError, match="2 masks should be 1 at most"):
        masks.check(Masks((None, half("left"))), 1)
    for wrong in (half("left")[None], half("left") * 2, half("left") - 0.5, np.zeros((0, 4), np.float32)):
        with pytest.raises(ValueError, match="masks: an array of shape"):
            masks.check(Masks(protect=wrong), 1)


# --- Regions ----------------------------------------------------------------------------------------------------------


def test_without_masks_there_is_one_region():
    (region,) = masks.regions(EVERYWHERE, (1.0, 3.0), None, SHAPE)
    assert region == (None, (1.0, 3.0), 1.0)
    assert masks.protected(EVERYWHERE, 2, SHAPE) is None and not EVERYWHERE


def test_a_painting_with_a_mask_goes_only_there_and_the_others_share_the_rest():
    first, rest = masks.regions(Masks((half("left", edge=0.25),)), (1.0, 2.0, 2.0), None, SHAPE)
    np.testing.assert_allclose(np.asarray(first.guide), half("left", edge=0.25), atol=1e-6)
    np.testing.assert_allclose(np.asarray(rest.guide), half("right", edge=0.25), atol=1e-6)
    assert first.shares == (1, 0, 0) and rest.shares == (0, 2, 2)
    assert (first.weight, rest.weight) == (pytest.approx(0.25 / 2), pytest.approx(0.75))  # its area, and its share
    stays = masks.protected(Masks((half("left"),)), 3, SHAPE)
    assert stays is not None and not stays.any()


def test_where_masks_overlap_the_paintings_share():
    where = Masks((half("left"), np.ones(SHAPE, np.float32)))
    first, second = masks.regions(where, (1.0, 1.0), None, SHAPE)
    np.testing.assert_allclose(np.asarray(first.guide), half("left") / 2, atol=1e-6)
    np.testing.assert_allclose(np.asarray(second.guide), 1 - half("left") / 2, atol=1e-6)


def test_where_no_painting_may_go_and_what_is_protected_stays():
    where = Masks((half("left"),), half("top"))
    stays = masks.protected(where, 1, SHAPE)
    np.testing.assert_allclose(np.asarray(stays), np.maximum(half("right"), half("top")), atol=1e-6)
    (region,) = masks.regions(where, (1.0,), None, SHAPE)
    np.testing.assert_allclose(np.asarray(region.guide), half("left") * (1 - half("top")), atol=1e-6)
    opacity = half("top", edge=0.75)
    (region,) = masks.regions(where, (1.0,), opacity, SHAPE)
    assert region.weight == pytest.approx(1 / 8)


@pytest.mark.parametrize("where", [Masks(protect=np.ones(SHAPE)), Masks((np.zeros(SHAPE),))], ids=["all", "nothing"])
def test_masks_that_leave_nothing(where, engine):
    with pytest.raises(ImageError, match="The masks leave nothing to paint"):
        list(engine.stylize(PHOTO, [PAINTING], toy.SETTINGS, where=where))


# --- Statistics and losses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gram", "covariance"])
def test_statistics_under_a_box_are_those_of_the_crop(kind):
    features = tf.constant(np.random.default_rng(0).random((1, 6, 8, 3)), tf.float32)
    box = np.zeros((1, 6, 8, 1), np.float32)
    box[:, 1:4, 2:7] = 1
    guided = style_statistics(features, kind, tf.constant(box / box.mean()))
    for ours, theirs in zip(guided, style_statistics(features[:, 1:4, 2:7], kind), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_guided_statistics_by_hand():
    # Two positions with filter responses (1, 0) and (3, 2), of which the second counts three times as much.
    features, guide = tf.constant([[[[1.0, 0.0], [3.0, 2.0]]]]), tf.constant([[[[0.5], [1.5]]]])
    (gram,) = style_statistics(features, "gram", guide)
    np.testing.assert_allclose(gram, [[[(1 + 3 * 9) / 4, 3 * 6 / 4], [3 * 6 / 4, 3 * 4 / 4]]], rtol=1e-6)
    covariance, mean = style_statistics(features, "covariance", guide)
    np.testing.assert_allclose(mean, [[2.5, 1.5]])
    np.testing.assert_allclose(covariance, [[[0.75, 0.75], [0.75, 0.75]]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(320, 320), (321, 333)], ids=["even", "odd"])
def test_a_guide_fits_subsampled_layers(shape):
    network, settings = toy.network(), replace(toy.SETTINGS, size=max(shape))
    photo = toy.picture(*shape)
    whole, halved = (
        Objective.of(network, photo, [PAINTING], settings, where)
        for where in (Masks((np.ones(shape, np.float32),)), Masks((half("left", shape),)))
    )
    assert whole.subsamples
    plain = Objective.of(network, photo, [PAINTING], settings)
    other = photo.copy()
    other[:, :, shape[1] // 2 + 16 :] = 0.5  # what is outside of the mask, beyond the reach of the filters
    for step in range(4):
        losses = [float(each.losses(network, tf.constant(photo), step)["style"]) for each in (plain, whole, halved)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
        changed = float(halved.losses(network, tf.constant(other), step)["style"])
        assert changed == pytest.approx(losses[2], rel=0.02)
        assert float(whole.losses(network, tf.constant(other), step)["style"]) != pytest.approx(losses[1], rel=0.1)


def test_an_image_is_pulled_only_where_it_may_be_painted():
    network = toy.network()
    where = Masks(protect=half("right"))
    objective = Objective.of(network, PHOTO, [PAINTING], toy.SETTINGS, where)
    noise = tf.constant(toy.picture(*SHAPE, seed=5))
    _, gradient = losses_and_gradient([objective], network, noise)
    assert not np.any(gradient[:, :, 48:]) and np.all(np.any(gradient[:, :, :47], axis=(1, 3)))
    shown = objective.shown(noise).numpy()
    np.testing.assert_allclose(shown[:, :, 48:], PHOTO[:, :, 48:], atol=1e-6)
    np.testing.assert_array_equal(shown[:, :, :48], noise[:, :, :48])


# --- Transparency -----------------------------------------------------------------------------------------------------


def test_what_is_hidden_in_the_photo_changes_no_target():
    network = toy.network()
    reach = 4  # pixels over which the filters and the reduced alpha look
    image = tf.constant(toy.picture(*SHAPE, seed=5))
    losses = []
    for color in (0.0, 1.0):
        hidden = PHOTO.copy()
        hidden[:, :, 48 + reach :] = color
        photo = np.concatenate((hidden, half("left")[np.newaxis, ..., np.newaxis]), axis=-1)
        objective = Objective.of(network, photo, [PAINTING], replace(toy.SETTINGS, normalization="paper"))
        losses.append({name: float(loss) for name, loss in objective.losses(network, image).items()})
        (region,) = objective.regions
        assert not np.any(region.guides["block1_conv1"][:, :, 48:])
        assert not np.any(objective.content["block1_conv2"][1][:, :, 48:])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_is_transparent_in_a_painting_does_not_count():
    network, settings = toy.network(), replace(toy.SETTINGS, padding=0)
    targets = []
    for color in (0.0, 1.0):
        painting = PAINTING.copy()
        painting[:, 44:] = color
        alpha = half("top", (80, 80))[np.newaxis, ..., np.newaxis]
        targets.append(style_targets(network, [np.concatenate((painting, alpha), axis=-1)], 80, settings))
    for layer, (statistics,) in targets[0].items():
        for ours, theirs in zip(statistics, targets[1][layer][0], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# --- A run ------------------------------------------------------------------------------------------------------------


def distance(network, image: np.ndarray) -> float:
    """The style loss of a part of an image."""
    features = network(tf.constant(image), set(toy.SETTINGS.style_layers), 4)
    targets = style_targets(network, [PAINTING], 64, toy.SETTINGS)
    return sum(
        float(
            style_loss(style_statistics(features[layer], toy.SETTINGS.style_statistics), targets[layer][0], "relative")
        )
        for layer in features
    )


def test_a_painting_goes_where_its_mask_is(engine):
    settings = replace(toy.SETTINGS, steps=(40, 20), strength=90)
    where = Masks((masks.feathered(half("left")),))
    *_, last = engine.stylize(PHOTO, [PAINTING], settings, where=where)
    result = last.image[np.newaxis] / np.float32(255)
    photo = images.resize(PHOTO, *result.shape[1:3])
    middle = result.shape[2] // 2
    gains = [
        distance(engine.network, photo[:, :, part]) - distance(engine.network, result[:, :, part])
        for part in (slice(0, middle - 4), slice(middle + 4, None))
    ]
    assert gains[0] > 10 * abs(gains[1])
    outside = np.abs(result - photo)[:, :, middle + 4 :]
    assert outside.max() <= 2 / 255


def test_two_paintings_side_by_side(engine):
    dark, bright = np.full((1, 64, 64, 3), 0.1, np.float32), np.full((1, 64, 64, 3), 0.9, np.float32)
    settings = replace(toy.SETTINGS, steps=(40, 40), strength=95)
    *_, last = engine.stylize(PHOTO, [dark, bright], settings, where=Masks((half("left"), half("right"))))
    middle = last.image.shape[1] // 2
    start = images.to_uint8(images.resize(PHOTO, *last.image.shape[:2])).astype(float)
    change = last.image - start
    assert change[:, : middle - 4].mean() < -5 < 5 < change[:, middle + 4 :].mean()


def test_a_protected_part_stays(engine):
    where = Masks(protect=masks.feathered(half("left")))
    *_, last = engine.stylize(PHOTO, [PAINTING], replace(toy.SETTINGS, strength=90), where=where)
    photo = images.to_uint8(images.resize(PHOTO, *last.image.shape[:2])).astype(int)
    change, middle = np.abs(last.image - photo).max(axis=-1), last.image.shape[1] // 2
    assert change[:, : middle - 4].max() <= 2 and change[:, middle + 4 :].mean() > 8


# --- Recipes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def painted(photo, painting, tmp_path) -> tuple[Path, Masks]:
    """A picture with two masks for two paintings, and these."""
    where = Masks((None, masks.feathered(half("left", (160, 240)))), masks.feathered(half("top", (160, 240))))
    run = Painting(photo, [painting, painting], Settings(size=128), where=where)
    list(run.frames(load))
    run.save(tmp_path / "out.png")
    assert run.notes == []
    return tmp_path / "out.png", where


def test_the_masks_are_in_the_recipe(painted):
    path, where = painted
    made = recipe.read(path)
    assert made is not None and [mask.painting for mask in made.masks] == [1, None]
    again = recipe.where(made)
    assert again.paintings[0] is None
    np.testing.assert_array_equal(again.paintings[1], where.paintings[1])
    np.testing.assert_array_equal(again.protect, where.protect)
    assert recipe.parse(made.text) == made


def test_a_mask_too_large_for_a_recipe_leaves_its_hash():
    noise = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    (mask,) = recipe.describe_masks(Masks((noise,)))
    assert mask.png == "" and len(mask.mask_hash) == 16


@pytest.mark.parametrize("png", ["?", "aGVsbG8=", 7, None, "A" * 6000, ["x"]])
def test_a_damaged_mask_is_told_and_missing(painted, png):
    data = json.loads(getattr(recipe.read(painted[0]), "text", ""))
    data["masks"][0]["png"] = png
    made = recipe.parse(json.dumps(data))
    assert any("One of its masks" in note for note in made.notes)
    assert recipe.where(made).paintings == (None, None) and recipe.where(made).protect is not None


@pytest.mark.parametrize("change", [{"painting": 2}, {"painting": -1}, {"painting": "x"}, {"mask_hash": 7}])
def test_a_hostile_mask_is_a_damaged_recipe(painted, change):
    data = json.loads(getattr(recipe.read(painted[0]), "text", ""))
    data["masks"][0] |= change
    with pytest.raises(ValueError, match="damaged"):
        recipe.parse(json.dumps(data))


def test_a_mask_of_other_proportions_is_told(photo, painting):
    run = Painting(photo, [painting], Settings(size=128), where=Masks((half("left", (100, 100)),)))
    list(run.frames(load))
    assert run.notes == ["A mask has other proportions than the photo, and is stretched over it."]
