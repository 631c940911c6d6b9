"""What a visitor asks for: the values of the page's inputs, checked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nst.masks import Masks
from nst.page import sharing
from nst.page.areas import areas_of
from nst.page.programs import ARGUMENTS
from nst.page.sharing import EXTRAS, PAINTINGS
from nst.settings import Settings


class Wishes(NamedTuple):
    """What a visitor asks for."""

    content: str | None
    styles: tuple[str, ...]
    settings: Settings
    where: Masks

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Wishes":
        """From the values of ARGUMENTS.  Raises ValueError for settings that are not allowed and for what is no mask.

        The four paintings have places: without the second, say, its number in `style_blend` is left out, too.  A single
        painting has no share.
        """
        given: dict[str, Any] = dict.fromkeys(EXTRAS) | dict(zip(ARGUMENTS, values))
        content, *places = (given.pop(name) for name in ("content", "style", *EXTRAS[:-1]))
        areas = given.pop(EXTRAS[-1])
        taken = [place for place, style in enumerate(places) if style]
        blend = given["style_blend"]
        if isinstance(blend, Sequence) and len(blend) == PAINTINGS:
            given["style_blend"] = [blend[place] for place in taken] if len(taken) > 1 else []
        settings = sharing.settings_of(given)
        return cls(content, tuple(places[place] for place in taken), settings, areas_of(areas, taken))
