"""nst/page/areas.py: colored areas, from a finger on a phone to the masks of a run."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst import images, masks, recipe
from nst.images import ImageError
from nst.masks import Masks
from nst.page import inputs
from nst.page.areas import PALETTE, PROTECT, areas_of
from nst.page.handlers import Handlers
from nst.page.inputs import Setup
from nst.page.studio import Studio
from nst.painting import Painting
from nst.settings import Settings
from tests.painter import Painter, drawing, picture
from tests.serving import HANG, PHONE, compact
from tests.test_images import BAD


def layer(path: Path, *boxes: tuple[str | tuple, tuple[int, int, int, int]], ground: str | tuple = (0, 0, 0, 0)) -> str:
    """A picture of colored boxes (left, top, right, bottom), 160 x 120."""
    canvas = Image.new("RGBA", (160, 120), ground)
    for color, box in boxes:
        canvas.paste(color, box)
    canvas.save(path)
    return str(path)


def box_mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((120, 160), np.float32)
    mask[top:bottom, left:right] = 1
    return masks.feathered(mask)


def same(ours: np.ndarray | None, theirs: np.ndarray) -> bool:
    return ours is not None and ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() < 0.02)


# --- From colors to masks ---------------------------------------------------------------------------------------------


def test_each_color_is_the_mask_of_its_painting(tmp_path):
    left, right, corner = (0, 0, 80, 120), (80, 0, 160, 120), (120, 80, 160, 120)
    path = layer(tmp_path / "areas.png", (PALETTE[0], left), (PALETTE[2], right), (PROTECT, corner))
    where = areas_of(path, [0, 1, 2])
    assert same(where.paintings[0], box_mask(*left)) and where.paintings[1] is None
    assert same(where.protect, box_mask(*corner))
    assert where.paintings[2] is not None and where.paintings[2][0, -1] == 1 and where.paintings[2][-1, -1] == 0
    only_first = areas_of(path, [0])
    assert len(only_first.paintings) == 1 and same(only_first.protect, box_mask(*corner))
    assert areas_of(path, [0, 2]).paintings[1] is not None  # the third place is the second painting


def test_the_smoothed_border_of_two_areas_is_no_third(tmp_path):
    first, second = (Image.new("RGBA", (160, 120), color) for color in PALETTE[:2])
    middle: Any = Image.blend(first, second, 0.5).getpixel((0, 0))
    path = layer(
        tmp_path / "a.png", (PALETTE[0], (0, 0, 79, 120)), (middle, (79, 0, 82, 120)), (PALETTE[1], (82, 0, 160, 120))
    )
    where = areas_of(path, [0, 1, 2, 3])
    assert where.paintings[2:] == (None, None) and where.protect is None
    assert where.paintings[0] is not None and where.paintings[1] is not None
    assert np.abs(where.paintings[0] + where.paintings[1] - 1).max() < 0.02


def test_nothing_drawn_is_everywhere(tmp_path):
    faint = layer(tmp_path / "faint.png", ground=(230, 159, 0, 100))
    assert (
        areas_of(None, [0]) is areas_of(layer(tmp_path / "none.png"), [0]) is areas_of(faint, [0]) is masks.EVERYWHERE
    )


def test_what_is_no_picture_of_areas_gets_a_sentence(tmp_path, photo):
    with pytest.raises(ValueError, match=f"areas: the colors of this picture should be {PALETTE[0]}"):
        areas_of(photo, [0])
    with pytest.raises(ImageError, match="drawing.svg is not a picture"):
        areas_of(drawing(tmp_path), [0])
    (tmp_path / "huge.png").write_bytes(BAD["bomb"][0])
    with pytest.raises(ImageError, match="huge.png .*300 million"):
        areas_of(str(tmp_path / "huge.png"), [0])


# --- Back from a recipe -----------------------------------------------------------------------------------------------


@pytest.fixture
def painted(photo, painting, tmp_path):
    """A finished picture with two masks, and these."""
    where = Masks((box_mask(0, 0, 80, 120),), box_mask(20, 20, 60, 60))
    run = Painting(photo, [painting], Settings(size=128), where=where)
    painter: Any = Painter(steps=2).released()
    list(run.frames(lambda _: painter))
    run.save(tmp_path / "out.png")
    return str(tmp_path / "out.png"), where


def test_the_areas_of_a_recipe_come_back(painted):
    path, where = painted
    *_, given = Setup(*inputs.on_upload(path, None)[: len(Setup._fields)])
    again = areas_of(given, [0])
    assert again.paintings[0] is not None and again.protect is not None
    # The protected part of the painting's area has its own color, which comes to the same.
    free = [np.asarray(each.paintings[0]) * (1 - np.asarray(each.protect)) for each in (where, again)]
    assert np.abs(free[0] - free[1]).mean() < 0.02 and np.abs(where.protect - again.protect).mean() < 0.02
    assert max(again.protect.shape) == masks.SIDE


def test_another_photo_clears_them_but_the_photo_of_the_recipe_does_not(painted, photo, painting):
    path, _ = painted
    text = getattr(recipe.read(path), "text", "")

    def areas_after(upload: str, side: str) -> object:
        return Setup(*inputs.on_upload(upload, text, side)[: len(Setup._fields)]).areas

    assert areas_after(photo, "content") is not None
    assert areas_after(painting, "content") is None
    assert areas_after(painting, "style") == Setup().areas  # unchanged
    card = inputs.choose_example(SimpleNamespace(name="starry-night"))  # type: ignore[arg-type]
    assert Setup(*card[: len(Setup._fields)]).areas is None


# --- Programs ---------------------------------------------------------------------------------------------------------


class Masked(Painter):
    """A painter that remembers its masks."""

    where = masks.EVERYWHERE

    def stylize(self, content, styles, settings, *, where=masks.EVERYWHERE, **more):
        self.where = where
        yield from super().stylize(content, styles, settings, **more)


def test_programs_send_areas(address, photo, painting, tmp_path):
    httpx = pytest.importorskip("httpx")
    painter: Any = Masked(steps=2).released()
    url = address(Studio(lambda _: painter)) + "/gradio_api/"

    def paint(**more):
        asked = {"content": file(photo), "style": file(painting), "size": 128} | more
        event = httpx.post(url + "call/v2/paint", json=asked, timeout=HANG).json()["event_id"]
        return httpx.get(url + f"call/paint/{event}", timeout=HANG).text

    def file(path: str) -> dict:
        sent = httpx.post(url + "upload", files={"files": ("a.png", Path(path).read_bytes())}, timeout=HANG).json()
        return {"path": sent[0], "meta": {"_type": "gradio.FileData"}}

    assert "Painted in" in paint() and painter.where is masks.EVERYWHERE
    drawn = layer(tmp_path / "areas.png", (PROTECT, (0, 0, 80, 120)))
    assert "Painted in" in paint(areas=file(drawn))
    assert same(painter.where.protect, box_mask(0, 0, 80, 120))
    told = Handlers.paint_for_programs.__doc__ or ""
    assert PROTECT in told and all(color in told for color in PALETTE)
    for wrong in ({"path": drawn, "meta": {"_type": "gradio.FileData"}}, {"url": "http://127.0.0.1/a.png"}, drawn):
        assert "areas: " in paint(areas=wrong)


# --- A finger on a phone ----------------------------------------------------------------------------------------------


def swipe(tab, start: tuple[float, float], end: tuple[float, float]) -> None:
    """With a finger over the editor, in shares of its width and height."""
    box = tab.locator("#where canvas").bounding_box()
    remote = tab.context.new_cdp_session(tab)

    def touch(kind: str, at: tuple[float, ...] = ()) -> None:
        points = [{"x": box["x"] + at[0] * box["width"], "y": box["y"] + at[1] * box["height"]}] if at else []
        remote.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", start)
    for step in range(1, 9):
        touch("touchMove", tuple(a + (b - a) * step / 8 for a, b in zip(start, end)))
    touch("touchEnd")


def drawn(tab) -> int:
    """Pixels in the editor that have a color."""
    count = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
    return tab.locator("#where canvas").evaluate(f"{count}.filter((value, at) => at % 4 === 3 && value).length")


def open_editor(tab) -> None:
    tab.click("#studio > button")
    tab.get_by_role("tab", name="Where").click()
    tab.wait_for_selector("#where canvas")
    tab.wait_for_function("document.querySelector('#where .areas img')?.naturalWidth > 0")
    tab.locator("#where .areas").scroll_into_view_if_needed()


def test_what_a_finger_protects_stays(visit, tmp_path):
    path = picture(tmp_path / "photo.png", (240, 160))
    tab = visit(Studio(compact(steps=(8,), frames_per_second=60)), **PHONE)
    tab.set_input_files("#content input[type=file]", path)
    tab.wait_for_selector("#content img")
    tab.fill("#size input[type=number]", "128")
    tab.press("#size input[type=number]", "Tab")
    open_editor(tab)
    assert [label.is_visible() for label in tab.locator("#where .brushes label").all()] == [
        True,
        *[False] * 3,
        True,
        True,
    ]
    tab.locator("#where .brushes label", has_text="Keep the photo").tap()
    tab.locator("#where [name=width]").fill("25")
    tab.locator("#where .areas").scroll_into_view_if_needed()
    before = tab.evaluate("scrollY")
    swipe(tab, (0.1, 0.1), (0.1, 0.9))
    swipe(tab, (0.9, 0.5), (0.95, 0.5))
    assert tab.evaluate("scrollY") == before  # the finger drew and did not scroll
    tab.click("#where [name=undo]")
    tab.wait_for_function("nst.where.file && !document.getElementById('paint').disabled")
    tab.tap("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    with tab.expect_download() as waiting:
        tab.tap("#download")
    data = Path(waiting.value.path()).read_bytes()
    result = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32)
    made = recipe.read(data)
    assert made is not None and [mask.painting for mask in made.masks] == [None]
    photo = images.to_uint8(images.resize(images.load(path), *result.shape[:2])).astype(np.float32)
    changes = np.abs(result - photo).max(axis=-1)
    assert changes[:, :20].max() <= 2 and changes[:, 60:].mean() > 5

    # Dropped in, the result brings the areas back; another photo takes them away.
    shutil.copy(waiting.value.path(), tmp_path / "out.png")
    tab.evaluate("nst.where.take(null)")
    assert drawn(tab) == 0
    tab.set_input_files("#content input[type=file]", tmp_path / "out.png")
    tab.wait_for_function("nst.where.base")
    assert drawn(tab) > 1000
    tab.click("#pair-starry-night")
    tab.wait_for_function("!nst.where.file")
    assert drawn(tab) == 0
    tab.context.close()
