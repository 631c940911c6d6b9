"""nst.page.studio: runs that are stopped, steered and gone on with, and the visitors who wait for them."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst import catalogue, images, machine, memory, painting, recipe, transfer, weights
from nst.canvas import Canvas
from nst.features import Network
from nst.page import limits, studio
from nst.page.studio import RETRY, Run, Studio
from nst.progress import Progress
from nst.settings import Settings
from nst.transfer import StyleTransfer
from tests import toy

SETTINGS = replace(toy.SETTINGS, size=128, min_scale=64)  # 6 steps at 64 pixels, 4 at 128
FOLLOWING = 12


@pytest.fixture(scope="module")
def engine():
    return StyleTransfer(toy.network())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Paths of a photo and a painting."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, shape in (("photo", (100, 160)), ("painting", (200, 150))):
        images.save(images.to_uint8(toy.picture(*shape, seed=len(name))), folder / f"{name}.png")
    return str(folder / "photo.png"), [str(folder / "painting.png")]


@pytest.fixture
def paint(engine, monkeypatch):
    """paint(run, at_least) gives frames, one at every step."""
    monkeypatch.setattr(Progress, "steps_until_frame", 1)
    monkeypatch.setattr(Progress, "frame_is_due", True)
    for module in (painting, transfer):
        monkeypatch.setattr(module, "FOLLOWING_STEPS", FOLLOWING)
    return lambda run, at_least=0: run.frames(lambda _: engine, at_least)


def up_to(frames, step: int) -> Any:
    return next(frame for frame in frames if frame.step == step)


def stopped(paint, run: Run, step: int) -> Run:
    frames = paint(run)
    up_to(frames, step)
    run.stop.set()
    assert list(frames) == []
    return run


def saved(run: Run, folder: Path) -> bytes:
    run.save(folder / "out.png")
    return (folder / "out.png").read_bytes()


def message(run: Run, folder: Path) -> recipe.Recipe:
    made = recipe.read(saved(run, folder))
    assert made is not None
    return made


# --- A run ------------------------------------------------------------------------------------------------------------


def test_from_pictures_to_the_last_frame(paint, pictures, tmp_path):
    run = Run(*pictures, SETTINGS)
    frames = list(paint(run))
    assert [frame.step for frame in frames] == list(range(11))
    assert run.frame is frames[-1] and run.frame.steps == 10
    assert run.shape == run.frame.image.shape[:2] == (80, 128)
    assert [point.step for point in run.history.points] == list(range(11))
    run.film.write(tmp_path / "film.webp")
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames == 11  # type: ignore[attr-defined]
    made = message(run, tmp_path)
    assert (made.settings, made.steered, made.step, made.steps) == (SETTINGS, False, 10, 10)
    assert [(used.name, used.size) for used in (made.content, *made.styles)] == [
        ("photo.png", (128, 80)),
        ("painting.png", (96, 128)),
    ]
    np.testing.assert_array_equal(images.to_uint8(images.load(tmp_path / "out.png")), run.frame.image)


def test_a_finished_picture_goes_on_as_if_more_steps_had_been_asked_for(paint, pictures, tmp_path):
    gone_on, straight = Run(*pictures, SETTINGS), Run(*pictures, replace(SETTINGS, steps=(6, 9)))
    for run, at_least in ((gone_on, 0), (gone_on, 2), (gone_on, 3), (straight, 0)):
        list(paint(run, at_least))
    assert gone_on.settings.steps == (6, 9)
    assert saved(gone_on, tmp_path) == saved(straight, tmp_path)  # the recipe, too


@pytest.mark.parametrize("step", [0, 3, 6, 8])  # the start, within a scale, at its end, within the last
@pytest.mark.parametrize("more", [0, 5])
def test_a_stopped_picture_goes_on_as_if_it_had_not_been(paint, pictures, tmp_path, step, more):
    run, straight = (
        stopped(paint, Run(*pictures, SETTINGS), step),
        Run(*pictures, replace(SETTINGS, steps=(6, 4 + more))),
    )
    made = message(run, tmp_path)
    assert (made.step, made.steps, made.size) == (step, 10, (128, 80))
    later = list(paint(run, at_least=10 - step + more))
    assert [frame.step for frame in later] == list(range(step + 1, 11 + more))
    list(paint(straight))
    assert saved(run, tmp_path) == saved(straight, tmp_path)
    assert len(run.history.points) == 11 + more


def test_a_stop_counts_from_the_beginning_of_the_turn(engine, paint, pictures):
    run = stopped(paint, Run(*pictures, SETTINGS), 3)

    def load(_):
        run.stop.set()  # the visitor presses Stop while the network is being loaded
        return engine

    assert [frame.step for frame in run.frames(load)] == [4]
    assert [frame.step for frame in paint(run)] == [5, 6, 7, 8, 9, 10]


def test_frames_may_be_asked_for_and_closed_by_any_thread(paint, pictures, tmp_path):
    run, straight, got = Run(*pictures, SETTINGS), Run(*pictures, SETTINGS), []
    frames = paint(run)
    for action in (*[lambda: got.append(next(frames).step)] * 4, frames.close):
        thread = threading.Thread(target=action)
        thread.start()
        thread.join()
    assert got == [0, 1, 2, 3]
    for each in (run, straight):
        list(paint(each))
    assert saved(run, tmp_path) == saved(straight, tmp_path)


@pytest.mark.parametrize(
    "broken, sentence", [("photo", "There is no photo yet"), ("painting", "There is no painting yet")]
)
def test_a_missing_picture_is_told_before_the_network_is_loaded(pictures, broken, sentence):
    paths = dict(zip(("photo", "painting"), pictures, strict=True)) | {broken: ()}
    with pytest.raises(ValueError, match=sentence):
        list(Run(*paths.values(), SETTINGS).frames(pytest.fail))


@pytest.mark.parametrize("broken", ["photo", "painting"])
def test_a_broken_picture_is_told_before_the_network_is_loaded(pictures, broken, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    paths = dict(zip(("photo", "painting"), pictures, strict=True)) | {
        broken: str(tmp_path / "torn.png") if broken == "photo" else [str(tmp_path / "torn.png")]
    }
    with pytest.raises(ValueError, match="torn.png is damaged"):
        list(Run(*paths.values(), SETTINGS).frames(pytest.fail))


def test_what_would_take_hours_is_told_before_anything_else():
    with pytest.raises(ValueError, match="^size: 4096 should be"):
        list(Run("nowhere.png", [], Settings(size=4096)).frames(pytest.fail))


def test_what_would_take_too_long_here_is_told_before_it_begins(pictures, monkeypatch):
    engine: Any = Engine()
    engine.expected_seconds = lambda *_: 900.0
    run = Run(*pictures, SETTINGS)
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(1024, 2000, 600))
    with pytest.raises(ValueError, match="would take about 15 minutes, and one may take 10 here; take a smaller size"):
        list(run.frames(lambda _: engine))
    assert run.frame is None
    engine.expected_seconds = lambda *_: 600.0
    assert list(run.frames(lambda _: engine))


def test_endless_going_on_is_refused_and_the_picture_kept(paint, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(1024, 20))
    run = Run(*pictures, SETTINGS)
    for at_least in (0, 8):
        list(paint(run, at_least))
    before = saved(run, tmp_path)
    with pytest.raises(ValueError, match="^steps: 21 at all scales together should be 20 at most on this page"):
        list(paint(run, at_least=3))
    run.steer(replace(SETTINGS, strength=90))
    with pytest.raises(ValueError, match="^steps: 30 "):
        list(paint(run))
    assert saved(run, tmp_path) == before  # nothing of what was refused is in the recipe
    run.steer(replace(SETTINGS, strength=SETTINGS.strength))
    assert [frame.step for frame in paint(run, at_least=2)] == [19, 20]


# --- Too little memory ------------------------------------------------------------------------------------------------


def test_a_size_that_does_not_fit_is_lowered_and_the_recipe_tells_the_real_one(engine, paint, pictures, tmp_path):
    lowered = "160 pixels do not fit into this machine's memory: painted at 128."
    run, straight = Run(*pictures, replace(SETTINGS, size=160)), Run(*pictures, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(memory, "fit_size", lambda *parts: asked.append(parts) or (replace(parts[-1], size=128), lowered))
        frames = list(paint(run))
        assert asked == [(engine.network, (100, 160), [(160, 120)], replace(SETTINGS, size=160))]
        assert (run.note, run.shape, frames[-1].scale) == (lowered, (80, 128), 128)
        list(paint(run, at_least=3))
        assert len(asked) == 1  # what was begun goes on at its size
    list(paint(straight))
    list(paint(straight, at_least=3))
    assert saved(run, tmp_path) == saved(straight, tmp_path)


def test_where_no_size_fits_nothing_is_painted(paint, pictures, monkeypatch):
    for name in ("available", "_reusable"):
        monkeypatch.setattr(memory, name, lambda: 0)
    run = Run(*pictures, SETTINGS)
    with pytest.raises(MemoryError, match="too little memory"):
        list(paint(run))
    assert run.frame is None


def test_memory_that_runs_out_leaves_the_scale_before_to_go_on_with(engine, paint, pictures, tmp_path, monkeypatch):
    run = Run(*pictures, replace(SETTINGS, size=256))
    frames = paint(run)
    up_to(frames, 10)

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Canvas, "upscaled", fail)
        (last,) = frames
    assert (last.step, last.steps, run.shape) == (10, 10, (80, 128))
    assert run.note == last.note == "256 pixels do not fit into this machine's memory: painted at 128."
    made = message(run, tmp_path)
    assert (made.size, made.settings, made.step, made.steps) == ((128, 80), SETTINGS, 10, 10)
    assert [frame.step for frame in paint(run, at_least=2)] == [11, 12]
    assert message(run, tmp_path).size == (128, 80)


# --- Steering ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 8, 10])  # also at the last frame, which is not the last one then
def test_a_pull_takes_effect_at_the_next_frame(engine, paint, pictures, tmp_path, step):
    run = Run(*pictures, SETTINGS)
    frames = paint(run)
    before = up_to(frames, step)
    assert run.steer(replace(SETTINGS, strength=90))
    photo, painting = (images.load(path, longest_side=128) for path in (pictures[0], *pictures[1]))
    expected = engine.stylize(
        photo, [painting], replace(SETTINGS, strength=90), resume=replace(before.checkpoint, state=()), more_steps=1
    )
    after = next(frames)
    np.testing.assert_array_equal(after.image, next(expected).image)
    assert (after.step, after.steps) == (step + 1, step + FOLLOWING)
    assert list(frames)[-1].step == step + FOLLOWING
    made = message(run, tmp_path)
    assert made.steered and made.settings == replace(SETTINGS, strength=90, steps=(6, step + FOLLOWING - 6))


def test_a_pull_leaves_more_steps_than_it_needs(paint, pictures):
    run = Run(*pictures, replace(SETTINGS, steps=(6, 30)))
    frames = paint(run)
    up_to(frames, 3)
    run.steer(replace(SETTINGS, strength=90))
    assert list(frames)[-1].step == 36 and run.settings.steps == (6, 30)
    frames = paint(run, at_least=20)
    up_to(frames, 40)
    run.steer(replace(SETTINGS, strength=SETTINGS.strength))
    assert list(frames)[-1].step == 56  # the twenty are not begun anew


@pytest.mark.parametrize("step", [8, 10])
def test_a_pull_at_a_picture_that_is_not_being_painted(paint, pictures, tmp_path, step):
    run = stopped(paint, Run(*pictures, SETTINGS), step)
    assert run.steer(replace(SETTINGS, strength=90))
    assert message(run, tmp_path).settings == SETTINGS  # that is what the picture was painted with so far
    assert list(paint(run, at_least=1))[-1].step == step + FOLLOWING
    assert message(run, tmp_path).steered and run.settings.strength == 90
    assert not run.steer(replace(SETTINGS, strength=90))
    assert list(paint(run, at_least=1))[-1].step == step + FOLLOWING + 1


def test_a_pull_there_and_back_changes_nothing(paint, pictures, tmp_path):
    run = Run(*pictures, SETTINGS)
    frames = paint(run)
    up_to(frames, 3)
    assert run.steer(replace(SETTINGS, strength=90))
    assert not run.steer(replace(SETTINGS, strength=SETTINGS.strength))
    assert list(frames)[-1].step == 10
    assert not message(run, tmp_path).steered


def test_no_bad_strength_is_taken(pictures):
    run = Run(*pictures, SETTINGS)
    for bad in (101, None):
        with pytest.raises(ValueError, match="^strength: "):
            run.steer(replace(SETTINGS, strength=bad))
    assert not run.steer(replace(SETTINGS, strength=SETTINGS.strength))


# --- The networks -----------------------------------------------------------------------------------------------------


class Engine:
    """Paints three frames, 5 seconds of the test's clock apart, with a third to fail at if told so."""

    def __init__(self, name: str = "compact", clock: "SimpleNamespace | None" = None):
        self.network = SimpleNamespace(
            name=name, weights_hash=name, precision="float32", reason=f"{name}, for a test.", filters={}
        )
        self.clock, self.shapes, self.fails = clock or SimpleNamespace(now=0.0), [], False

    def expected_seconds(self, height, width, settings):
        return 10.0

    def stylize(self, content, styles, settings, **_) -> Iterator[Any]:
        self.shapes.append(content.shape[1:3])
        for step in range(3):
            if step:
                self.clock.now += 5
            if step == 2 and self.fails:
                raise FloatingPointError("The loss overflowed.")
            image, losses = images.to_uint8(content), dict.fromkeys(("content", "style", "total"), 1.0)
            remaining = 5.0 * (2 - step) if step else 0.0  # nobody knows yet
            where = {
                "settings": settings,
                "step": step,
                "steps": 2,
                "scale": 128,
                "elapsed": self.clock.now,
                "remaining": remaining,
            }
            yield SimpleNamespace(image=image, losses=losses, checkpoint=None, note="", **where)


def test_networks_are_loaded_once_and_equal_ones_compiled_once():
    loaded = []

    def load(settings: Settings) -> Any:
        loaded.append(settings.network)
        engine = Engine("vgg19" if settings.network == "vgg19" else "compact")
        engine.network.reason = f"{settings.network} was asked for."
        return engine

    shared = Studio(load)
    for network in ("auto", "vgg19", "auto", "compact", "compact"):
        shared.engine(Settings(network=network, strength=len(loaded)))
    assert loaded == ["auto", "vgg19", "compact"]
    auto, compact, vgg19 = (shared.engine(Settings(network=network)) for network in ("auto", "compact", "vgg19"))
    assert auto is compact is not vgg19
    assert shared.engine(Settings(pooling="max")) is not auto
    reasons = [shared.reason(Settings(network=network)) for network in ("auto", "compact")]
    assert reasons == ["auto was asked for.", "compact was asked for."]


def test_a_network_that_could_not_be_loaded_is_tried_again():
    def load(_: Settings) -> Any:
        answers.append(answers.pop(0))
        if answers[-1] is None:
            raise ValueError("No weights and no way to get them.")
        return answers[-1]

    answers: list[Any] = [None, Engine()]
    shared = Studio(load)
    with pytest.raises(ValueError, match="No weights"):
        shared.engine(Settings())
    assert shared.engine(Settings()) is answers[-1]


def test_warming_paints_two_proportions():
    engine: Any = Engine()
    Studio(lambda _: engine).warm()
    heights, widths = zip(*engine.shapes, strict=True)
    assert len(set(heights)) == len(set(widths)) == 2  # or the first visitor waits for the compiler once more


@pytest.mark.parametrize(
    ("variables", "gpus", "downloads"),  # before visitors may come, and afterwards
    [
        ({}, ["A GPU"], ()),
        ({"SPACE_ID": "me/it"}, [], ("after",)),
        ({"SPACE_ID": "me/it"}, ["A GPU"], ("before", "after")),
        ({"SPACE_ID": "me/it", "NST_NETWORK": "auto"}, ["A GPU"], ("before", "after")),
        ({"SPACE_ID": "me/it", "NST_NETWORK": "compact"}, ["A GPU"], ()),
        ({"SPACE_ID": "me/it", "NST_NETWORK": "Compact"}, ["A GPU"], ()),
        ({"NST_NETWORK": "vgg19"}, [], ("before",)),
        ({"NST_NETWORK": "VGG-19"}, [], ("before",)),
    ],
)
def test_warming_downloads_what_visitors_are_not_to_wait_for(monkeypatch, tmp_path, variables, gpus, downloads):
    asked = []

    def imagenet(download: bool):
        assert download
        asked.append("before" if shared.unready else "after")
        raise weights.WeightsError("No internet.")  # no reason not to paint

    for name in ("SPACE_ID", "NST_NETWORK", "NST_VGG19"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(weights, "KERAS_CACHE", str(tmp_path / "vgg19.h5"))
    monkeypatch.setattr(weights, "imagenet", imagenet)
    monkeypatch.setattr(machine, "gpus", lambda: gpus)
    engine: Any = Engine()
    shared = Studio(lambda _: engine)
    shared.warm()
    assert tuple(asked) == downloads and engine.shapes and not shared.unready
    (tmp_path / "vgg19.h5").touch()
    shared = Studio(lambda _: engine)
    shared.warm()
    assert tuple(asked) == downloads  # they are here now


def test_vgg19_is_asked_for_again_where_its_weights_were_missing(engine, monkeypatch):
    networks = [SimpleNamespace(**vars(engine.network) | {"name": name}) for name in ("compact", "vgg19")]
    engines = iter([SimpleNamespace(network=network) for network in networks])
    shared = Studio(lambda _: next(engines))  # type: ignore[arg-type, return-value]
    now = [0.0]
    monkeypatch.setattr(studio.time, "monotonic", lambda: now[0])
    names = []
    for now[0] in (0, RETRY - 1, RETRY, 10 * RETRY):  # each look may take a download that fails
        names.append(shared.engine(Settings(network="vgg19")).network.name)
    assert names == ["compact", "compact", "vgg19", "vgg19"]


def test_its_own_compact_network_sketches_for_a_vgg(monkeypatch):
    monkeypatch.setattr("nst.features.load_network", lambda settings: Network(settings.network, toy.weights()))
    shared = Studio()
    settings = replace(toy.SETTINGS, network="vgg19", sketch="compact")
    finest = shared.engine(settings)
    compact = shared.engine(replace(settings, network="compact", precision="float32"))
    assert finest.network.name == "vgg19" and finest._engine_for(32, settings) is compact


def test_it_is_ready_once_warming_has_come_to_its_end():
    class Watched(Engine):
        def stylize(self, *args, **more):
            said.append(shared.unready)
            yield from super().stylize(*args, **more)

    def load(_: Settings) -> Any:
        said.append(shared.unready)
        return Watched()

    said: list[str] = []
    shared = Studio(load)
    shared.warm()
    assert said == [studio.NOT_LOADED, studio.NOT_COMPILED, studio.NOT_COMPILED]
    assert shared.unready == ""


@pytest.mark.parametrize("fails", ["loading", "painting"])
def test_warming_that_fails_is_logged_and_harms_nobody(caplog, pictures, fails):
    def load(_: Settings) -> Any:
        if broken and fails == "loading":
            raise OSError("No such file.")
        return engine

    engine: Any = Engine()
    broken, engine.fails = True, fails == "painting"
    shared = Studio(load)
    shared.warm()
    assert shared.unready == studio.NOT_WARM
    (record,) = caplog.records
    assert record.levelname == "ERROR" and record.exc_info is not None
    broken = engine.fails = False
    assert [frame.step for frame in shared.paint("ann", Run(*pictures, Settings(size=128)))] == [0, 1, 2]


# --- Thumbnails -------------------------------------------------------------------------------------------------------


@pytest.fixture
def unpainted(engine, tmp_path, monkeypatch):
    """A studio with two pairs that have no thumbnail; `watch(frame)` is called at every frame of them."""

    class Watched(StyleTransfer):
        def stylize(self, *args, **more):
            for frame in super().stylize(*args, **more):
                watching.watch(frame)
                yield frame

    pairs = [catalogue.Pair(name, name, name, "woodcut-wave") for name in ("lion", "cheetah")]
    watching = SimpleNamespace(studio=Studio(lambda _: Watched(engine.network)), pairs=pairs, watch=lambda _: None)
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "PAIRS", pairs)
    monkeypatch.setattr(studio, "THUMBNAIL", replace(toy.SETTINGS, size=384, min_scale=192))
    return watching


def test_thumbnails_are_painted_once(unpainted, tmp_path):
    painted: list[int] = []
    unpainted.watch = lambda frame: painted.append(frame.scale)
    unpainted.studio.paint_thumbnails()
    for pair in unpainted.pairs:
        assert pair.thumbnail == tmp_path / "cache" / "painted" / f"{pair.name}.jpg"
        with Image.open(pair.thumbnail) as picture:
            assert (picture.format, max(picture.size)) == ("JPEG", 360)
    assert len(list((tmp_path / "cache" / "painted").iterdir())) == 2 and max(painted) == 384
    painted.clear()
    unpainted.studio.paint_thumbnails()
    assert painted == []


def test_a_thumbnail_waits_until_the_visitors_have_gone(unpainted, pictures, monkeypatch):
    shared, (pair, _) = unpainted.studio, unpainted.pairs
    seen: list[int] = []

    def watch(frame):
        seen.append(frame.step)
        if len(seen) == 2:
            shared.join("ann")

    unpainted.watch = watch
    assert not shared.paint_thumbnail(pair)
    assert seen == [0, seen[-1]] and pair.thumbnail is None  # it ended at the frame at which she came
    assert not shared.paint_thumbnail(pair)
    assert len(seen) == 2  # she is still in the queue
    frames = shared.paint("ann", Run(*pictures, SETTINGS))
    next(frames)
    assert not shared.paint_thumbnail(pair)  # she is being served

    def sleep(seconds: float) -> None:
        assert seconds == studio.IDLE and pair.thumbnail is None
        frames.close()

    monkeypatch.setattr(studio.time, "sleep", sleep)
    shared.paint_thumbnails()
    assert all(pair.thumbnail for pair in unpainted.pairs)


@pytest.mark.parametrize("error", [FloatingPointError("The loss overflowed."), MemoryError("Too little memory.")])
def test_a_thumbnail_that_fails_does_not_keep_the_next_from_being_painted(unpainted, caplog, error):
    def fail(_):
        unpainted.watch = lambda _: None
        raise error

    unpainted.watch = fail
    unpainted.studio.paint_thumbnails()
    assert [pair.thumbnail is not None for pair in unpainted.pairs] == [False, True]
    assert caplog.messages == [f"The example lion has no thumbnail: {error}"]


def test_thumbnails_that_cannot_be_kept_are_told(unpainted, caplog, tmp_path):
    (tmp_path / "cache").touch()
    unpainted.studio.paint_thumbnails()
    assert len(caplog.messages) == 2


# --- Visitors ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(pictures, monkeypatch):
    """A studio with the test's clock; `new()` is a run, `turn(visitor)` a whole turn of 10 seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(studio, "time", SimpleNamespace(monotonic=lambda: clock.now))
    engine: Any = Engine(clock=clock)
    shared = Studio(lambda _: engine)

    def new() -> Run:
        return Run(*pictures, Settings(size=128))

    def turn(visitor: str) -> Run:
        run = new()
        list(shared.paint(visitor, run))
        return run

    return SimpleNamespace(studio=shared, engine=engine, new=new, turn=turn)


def test_the_line_counts_people_and_seconds(shop):
    line = shop.studio
    assert line.place("ann") is None
    for visitor in ("ann", "bob", "cat"):
        line.join(visitor)
    assert [line.place(visitor) for visitor in ("ann", "bob", "cat")] == [(0, None), (1, None), (2, None)]
    frames = line.paint("ann", shop.new())
    assert line.place("bob") == (1, None)  # ann's turn begins with the first frame that is asked for
    next(frames)
    assert [line.place(visitor) for visitor in ("ann", "bob", "cat")] == [None, (0, None), (1, None)]
    list(frames)
    assert [line.place(visitor) for visitor in ("bob", "cat")] == [(0, 0), (1, 10)]  # a turn took 10 seconds
    frames = line.paint("bob", shop.new())
    next(frames)
    assert line.place("cat") == (0, 10)  # nobody knows yet how long this one takes: as long as the others
    next(frames)
    line.join("dan")
    assert [line.place(visitor) for visitor in ("cat", "dan")] == [(0, 5), (1, 15)]
    line.leave("cat")
    assert [line.place(visitor) for visitor in ("cat", "dan")] == [None, (0, 5)]


def test_nobody_stands_in_line_twice_or_while_being_painted_for(shop):
    line = shop.studio
    for _ in range(2):
        line.join("ann")
    line.leave("ann")
    assert line.place("ann") is None and not line.is_busy_for("ann")
    line.leave("ann")  # nor does it harm to leave twice
    frames = line.paint("ann", shop.new())
    next(frames)
    line.join("ann")  # the page's word comes late
    assert line.place("ann") is None and line.is_busy_for("ann")
    frames.close()
    assert not line.is_busy_for("ann")
    line.join("ann")
    assert line.place("ann") == (0, None) and line.is_busy_for("ann")


def test_a_turn_that_is_closed_late_does_not_end_the_next_one(shop):
    left, frames = shop.studio.paint("ann", shop.new()), shop.studio.paint("bob", shop.new())
    next(left)
    next(frames)
    left.close()
    assert shop.studio.is_busy_for("bob") and not shop.studio.is_busy_for("ann")
    frames.close()
    assert not shop.studio.is_busy_for("bob")


def test_a_failure_ends_the_turn_and_keeps_the_picture(shop):
    shop.engine.fails = True
    with pytest.raises(FloatingPointError):
        shop.turn("ann")
    assert not shop.studio.is_busy_for("ann")
    assert shop.studio.run("ann").frame.step == 1
    shop.engine.fails = False
    frames = shop.studio.paint("bob", shop.new())
    next(frames)
    shop.studio.join("cat")
    assert shop.studio.place("cat") == (0, None)  # a turn that failed tells nothing of the others


def test_everybody_has_a_picture_of_their_own(shop):
    runs = {visitor: shop.turn(visitor) for visitor in ("ann", "bob")}
    assert {visitor: shop.studio.run(visitor) for visitor in runs} == runs
    assert shop.studio.run("cat") is None
    later = shop.turn("ann")
    assert shop.studio.run("ann") is later and shop.studio.run("bob") is runs["bob"]


def test_so_many_pictures_are_kept_and_no_more(shop, monkeypatch):
    monkeypatch.setattr(studio, "KEPT", 2)
    for visitor in ("ann", "bob", "ann", "cat"):
        shop.turn(visitor)
    assert [shop.studio.run(visitor) is not None for visitor in ("ann", "bob", "cat")] == [True, False, True]


def test_a_picture_under_way_is_kept(shop, monkeypatch):
    monkeypatch.setattr(studio, "KEPT", 2)
    frames = shop.studio.paint("ann", shop.new())
    next(frames)
    for visitor in ("bob", "cat", "dan"):
        shop.turn(visitor)
    assert [shop.studio.run(visitor) is not None for visitor in ("ann", "bob", "cat", "dan")] == [
        True,
        False,
        False,
        True,
    ]
    frames.close()


def test_who_has_gone_is_forgotten(shop):
    shop.turn("ann")
    shop.studio.join("ann")
    shop.studio.forget("ann")
    assert shop.studio.run("ann") is None and shop.studio.place("ann") is None
    frames = shop.studio.paint("ann", shop.new())
    next(frames)
    shop.studio.forget("ann")  # while being painted for
    assert [frame.step for frame in frames] == [1, 2] and shop.studio.run("ann") is None


# --- Several painters -------------------------------------------------------------------------------------------------


def test_the_wait_counts_all_painters(pictures):
    shared = Studio(lambda _: None, painters=2)  # type: ignore[arg-type, return-value]
    shared._durations.append(30.0)
    assert shared.expected_wait() == 0
    frames = [SimpleNamespace(remaining=seconds) for seconds in (12.0, 20.0)]
    shared._turns = [("ann", SimpleNamespace(frame=frame)) for frame in frames[:1]]  # type: ignore[misc]
    assert shared.expected_wait() == 0
    shared._turns += [("bob", SimpleNamespace(frame=frame)) for frame in frames[1:]]  # type: ignore[misc]
    waits = []
    for visitor in ("cid", "dan", "eve"):
        shared.join(visitor)
        waits.append(shared.place(visitor))
    assert waits == [(0, 12.0), (1, 20.0), (2, 42.0)]
