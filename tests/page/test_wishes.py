"""nst.page.wishes: what becomes of the values of the page's inputs."""

import pytest

from nst.page.wishes import Wishes
from tests.painter import values


@pytest.mark.parametrize(
    "places, blend, styles, shares",
    [
        (("a", None, None, None), [2, 1, 1, 1], ("a",), ()),
        (("a", None, "c", None), [2, 1, 0.5, 1], ("a", "c"), (2, 0.5)),
        ((None, "b", "c", "d"), [2, 1, 0.5, 0], ("b", "c", "d"), (1, 0.5, 0)),
        (("a", "b", "c", "d"), [2, 1, 0.5, 0], ("a", "b", "c", "d"), (2, 1, 0.5, 0)),
        (("a", "b", None, None), [], ("a", "b"), ()),
        (("a", None, "c", None), [3, 1], ("a", "c"), (3, 1)),  # a program counts only the paintings that it gives
    ],
)
def test_paintings_keep_the_shares_of_their_places(places, blend, styles, shares):
    first, *others = places
    wishes = Wishes.of(["photo", first, *values(style_blend=blend), *others])
    assert (wishes.content, wishes.styles, wishes.settings.style_blend) == ("photo", styles, shares)


def test_some_painting_needs_a_share():
    with pytest.raises(ValueError, match="style_blend: at least one painting needs a share above 0"):
        Wishes.of(["photo", "a", *values(style_blend=[0, 0, 1, 1]), "b"])
