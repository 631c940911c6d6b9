"""nst.page.sharing: what untrusted pictures and links can request, and the sentences about it."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from nst import catalogue, recipe
from nst.catalogue import Pair
from nst.page import limits, sharing
from nst.recipe import Ingredient, Recipe
from nst.settings import Settings

CONTROLS = ("size", "strength", "network")


@pytest.fixture(autouse=True)
def usual_limits(monkeypatch):
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(1024, 2000))


def made(settings: Settings = Settings(), *names: str, **parts: Any) -> Recipe:
    """The recipe of a picture painted from examples, or from files where a name has a dot."""
    content, *styles = (Ingredient(name, "." not in name, (8, 8), "0") for name in names or ("tower", "starry-night"))
    whole = Recipe(
        version=recipe.VERSION,
        network="compact",
        precision="float32",
        weights_hash="",
        content=content,
        styles=tuple(styles),
        size=(8, 8),
        step=1,
        steps=1,
        settings=settings,
    )
    return replace(whole, **parts)


def test_examples_come_back_with_everything():
    settings = Settings(size=256, strength=70, network="compact", seed=7, learning_rate=0.05, steps=(30, 15))
    shared = sharing.from_recipe(made(settings), CONTROLS)
    assert shared.settings == settings
    assert shared.pictures == ("tower", "starry-night")
    assert shared.sentence == (
        "Its pictures and settings are restored: Paint repeats it. Drop it in again to use the picture itself. "
        "Also set, until you pick an example: seed 7; steps 30, 15; learning rate 0.05."
    )


@pytest.mark.parametrize("names", [("me.jpg", "starry-night"), ("tower", "mine.png"), ("tower", "gone")])
def test_a_visitors_own_pictures_are_named(names):
    shared = sharing.from_recipe(made(Settings(), *names), CONTROLS)
    assert shared.pictures is None
    assert f"It was painted from {names[0]} and {names[1]}." in shared.sentence


def test_pictures_are_named_in_a_few_words():
    assert sharing.title(made()) == "The Eiffel Tower at dusk × The Starry Night"
    assert sharing.title(made(Settings(), "my photo.jpg", "gone")) == "my photo × gone"
    assert "van Gogh" in sharing.credit(made()) and sharing.credit(made(Settings(), "me.jpg", "my.png")) == ""


def test_several_paintings_come_back_with_their_shares():
    three = "starry-night", "woodcut-wave", "pointillist-shore"
    shared = sharing.from_recipe(made(Settings(style_blend=(0.5, 2, 1)), "tower", *three), CONTROLS)
    assert shared.pictures == ("tower", *three)
    assert shared.settings.style_blend == (0.5, 2, 1, 1)  # the fourth place is not taken
    assert shared.sentence == sharing.REPEATED
    shared = sharing.from_recipe(made(Settings(), "me.jpg", *three), CONTROLS)
    assert shared.pictures is None and shared.settings.style_blend == ()
    assert "from me.jpg and starry-night, woodcut-wave, pointillist-shore." in shared.sentence


def test_five_paintings_are_more_than_the_page_takes():
    settings = Settings(style_blend=(2, 1, 1, 1, 1))
    shared = sharing.from_recipe(made(settings, "tower", *["starry-night"] * 5), CONTROLS)
    assert shared.pictures is None and shared.settings.style_blend == ()
    assert shared.sentence.endswith("This page takes four paintings at most.")


def test_automatic_is_what_it_was_then():
    for painted in ("vgg19", "vgg16"):  # the page offers one genuine network
        assert sharing.from_recipe(made(network=painted), CONTROLS).settings.network == "vgg19"
    assert sharing.from_recipe(made(network="../evil"), CONTROLS).settings.network == "auto"


@pytest.mark.parametrize("size, here", [(64, 128), (4096, 1024)])
def test_the_size_is_the_pages(size, here):
    shared = sharing.from_recipe(made(Settings(size=size)), CONTROLS)
    assert shared.settings.size == here
    assert f"Its size was {size} pixels; this page uses {here}." in shared.sentence


def test_a_strangers_weights_are_never_loaded():
    shared = sharing.from_recipe(made(Settings(network="vgg19", weights="evil.h5")), CONTROLS)
    assert shared.settings.weights == ""
    assert "evil.h5, was ignored" in shared.sentence
    assert "weights" not in sharing.PARAMETERS


@pytest.mark.parametrize(
    "greedy", [{"steps": (10_000,)}, {"scale_factor": 1.1, "min_scale": 32, "steps": (200,)}, {"style_scale": 4}]
)
def test_nobody_asks_for_hours(greedy):
    shared = sharing.from_recipe(made(Settings(strength=70, seed=3, **greedy)), CONTROLS)
    assert shared.settings == Settings(strength=70, network="compact")
    assert "Only its size, strength and network were restored" in shared.sentence
    with pytest.raises(ValueError, match="on this page"):
        sharing.check(Settings(**greedy))


def test_the_defaults_are_within_bounds():
    sharing.check(Settings())
    for size in (128, 1024):
        sharing.check(Settings(size=size))
    for beyond in (127, 1025):
        with pytest.raises(ValueError, match="size: .* should be a whole number from 128 to 1024 on this page"):
            sharing.check(Settings(size=beyond))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 512.5, 63, 2048, "large", None])
def test_a_size_is_refused_with_this_pages_range(value):
    with pytest.raises(ValueError, match="^size: .* should be a whole number from 128 to 1024 on this page$"):
        sharing.settings_of({"size": value})


@pytest.mark.parametrize("value", [float("nan"), 0.05, 3, 5])
def test_a_style_scale_is_refused_with_this_pages_range(value):
    with pytest.raises(ValueError, match="^style_scale: .* should be a number from 0.1 to 2 on this page$"):
        sharing.settings_of({"style_scale": value})


@pytest.mark.parametrize("text", ["nan", "512.5", "63", "huge"])
def test_a_link_with_a_bad_size_tells_this_pages_range(text):
    link = sharing.from_query({"size": text}, CONTROLS)
    assert link.settings == {} and "a whole number from 128 to 1024 on this page" in link.sentence


# --- Links ------------------------------------------------------------------------------------------------------------


def test_a_link_comes_back_as_it_was():
    settings = Settings(size=768, strength=62.5, network="compact")
    query, omitted = sharing.to_query("lion", "woodcut-wave", settings, CONTROLS)
    assert query == "?pair=wave-lion&size=768&strength=62.5&network=compact"
    assert omitted == ""
    link = sharing.from_query(dict(parse_qsl(query[1:])), CONTROLS)
    assert link.pair is not None and link.pair.name == "wave-lion"
    assert link.settings == {"size": 768, "strength": 62.5, "network": "compact"}
    assert link.sentence == "A lion cut in wood: Paint repaints it as in your link."


def test_a_link_says_what_it_leaves_out():
    query, omitted = sharing.to_query("lion", "woodcut-wave", Settings(seed=7), CONTROLS)
    assert query.startswith("?pair=wave-lion")
    assert omitted == "The link does not include seed 7; the downloaded PNG does."


@pytest.mark.parametrize("names", [(None, "starry-night"), ("tower", None), (None, None), ("starry-night", "tower")])
def test_a_link_cannot_carry_pictures(names):
    query, sentence = sharing.to_query(*names, Settings(), CONTROLS)
    assert query == ""
    assert "not painted yet" in sentence


def test_pairs_are_those_whose_pictures_are_here(monkeypatch):
    pairs = [pair("a", "tower", "starry-night"), pair("b", "lion", "gone"), pair("c", "gone", "starry-night")]
    monkeypatch.setattr(catalogue, "PAIRS", pairs)
    assert sharing.installed_pairs() == pairs[:1]
    monkeypatch.setattr(catalogue, "examples", lambda: ())
    assert sharing.installed_pairs() == []


def test_paintings_are_offered_without_a_pair_and_photos_are_not(monkeypatch):
    monkeypatch.setattr(catalogue, "PAIRS", ())
    ours = {"starry-night", "pointillist-shore", "woodcut-wave"}
    offered = sharing.installed_paintings()
    assert ours <= {painting.name for painting in offered}
    assert {"tower", "cheetah", "lion"}.isdisjoint(painting.name for painting in offered)
    monkeypatch.setattr(catalogue, "examples", lambda: ())
    assert sharing.installed_paintings() == []


def pair(name: str, content: str, style: str) -> Pair:
    return replace(catalogue.PAIRS[0], name=name, content=content, style=style)


def test_no_link_no_words():
    for query in ({}, {"__theme": "dark", "utm_source": "mail", "weights": "/etc/passwd", "seed": "7"}):
        assert sharing.from_query(query, CONTROLS) == sharing.Link(None, {}, "")


@pytest.mark.parametrize(
    "name, text",
    [
        ("pair", "mona-lisa"),
        ("size", "99999"),
        ("size", "100.5"),
        ("size", "64"),
        ("size", "nan"),
        ("size", "1e999"),
        ("strength", "much"),
        ("strength", "-1"),
        ("network", "<script>"),
    ],
)
def test_what_a_link_gets_wrong_is_told_and_the_rest_taken(name, text):
    good = {"pair": "starry-night", "size": "256", "strength": "70", "network": "compact"}
    link = sharing.from_query(good | {name: text}, CONTROLS)
    assert set(link.settings) == {"size", "strength", "network"} - {name}
    assert (link.pair is None) == (name == "pair")
    assert text in link.sentence or text in ("nan", "1e999", "100.5", "-1")
    assert len(sharing.from_query({name: 5000 * text}, CONTROLS).sentence) < 300
