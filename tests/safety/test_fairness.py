"""nst.page.fairness: nobody fills the queue alone, and no run goes on for ever."""

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest

from nst.page import fairness, layout, limits, programs, studio, text
from nst.page.studio import Run, Studio
from nst.settings import Settings
from tests.effort import effort
from tests.page.test_page import VISITOR, desk
from tests.page.test_programs import Caller, wait_for
from tests.painter import Painter, values
from tests.serving import HANG, served

YOURS, THEIRS = "203.0.113.7", "198.51.100.1"


class Person(Caller):
    """Plain HTTP from an address of one's own, as a proxy on this machine tells it."""

    origin = YOURS

    def join(self, number: int, session: str, origin: str = "", data: list | None = None) -> str:
        body = {"data": data or [], "fn_index": number, "session_hash": session}
        headers = {"X-Forwarded-For": origin or self.origin}
        return httpx.post(self.url + "queue/join", json=body, headers=headers, timeout=HANG).json()["event_id"]

    def call(self, origin: str = "", **headers) -> str:
        body = json.dumps(self.pictures | {"size": 128})
        headers = {"Content-Type": "application/json", "X-Forwarded-For": origin or self.origin} | headers
        url = self.url + "call/v2/paint"
        return httpx.post(url, content=body, headers=headers, timeout=HANG).json()["event_id"]

    def told(self, event: str) -> str:
        """The sentence of a refusal."""
        ((name, data),) = self.events(event)
        assert name == "error"
        return data["error"]


@pytest.fixture
def painter():
    painter = Painter(steps=100_000)
    yield painter
    painter.steps = 0
    painter.released()


@pytest.fixture
def shared(painter):
    return Studio(lambda _: painter)


@pytest.fixture
def person(address, shared, photo, painting):
    person = Person(address(shared), photo, painting)
    person.call("192.0.2.1")  # whose picture is painted
    wait_for(lambda: shared._turns)
    yield person
    queue = page_of(shared)._queue
    while shared.jobs() or any(queue.active_jobs):  # no run of this test meets the next
        for visitor, _ in list(shared._turns):
            shared.stop(visitor)
        time.sleep(0.01)


def page_of(shared: Studio) -> gr.Blocks:
    return shared.jobs.args[0]  # type: ignore[attr-defined]


def number_of(person: Person, does_paint: bool) -> int:
    """The fn_index of the API's `paint`, or of a handler that does not paint."""
    page = httpx.get(person.url.removesuffix("gradio_api/") + "config", timeout=HANG).json()
    events = page["dependencies"]
    if does_paint:
        return next(each["id"] for each in events if each["api_name"] == "paint")
    return next(each["id"] for each in events if not each["queue"] and each["backend_fn"])


@pytest.mark.parametrize(
    "host, counted",
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(host, counted):
    assert fairness.address(SimpleNamespace(client=SimpleNamespace(host=host))) == counted
    assert fairness.address(SimpleNamespace(client=None)) == ""


def test_two_pictures_of_an_address_wait_and_no_more(person, shared):
    events = [person.call() for _ in range(2)]
    sentence = text.ADDRESS_WAITS.format(count=2)
    assert person.told(person.call()) == sentence
    german = person.told(person.call(**{"Accept-Language": "de"}))
    assert german.startswith("2 Bilder aus Ihrem Netzwerk")
    assert person.told(person.call(f"{THEIRS}, {YOURS}")) == sentence  # what a client says itself is before its own
    person.call(THEIRS)  # others still can
    assert [address for _, address in shared.jobs()] == [YOURS, YOURS, THEIRS]
    assert {event for event, _ in shared.jobs()} >= set(events)


def test_so_do_two_of_a_session(person, shared):
    number = number_of(person, does_paint=True)
    data = [*person.pictures.values(), *values(), None, None, None, None]
    for origin in (YOURS, THEIRS):
        person.join(number, "me", origin, data)
    assert len(shared.jobs()) == 2
    with httpx.stream("GET", person.url + "queue/data?session_hash=me", timeout=HANG) as response:
        event = person.join(number, "me", "192.0.2.9", data)
        line = next(line for line in response.iter_lines() if event in line and "process_completed" in line)
    assert json.loads(line.removeprefix("data: "))["output"]["error"] == text.SESSION_WAITS


def test_when_the_queue_is_full_programs_learn_the_expected_wait(person, shared, monkeypatch):
    monkeypatch.setattr(studio, "QUEUE_SIZE", 3)
    for last in range(3):
        person.call(f"198.51.100.{last}")
    assert person.told(person.call()) == text.QUEUE_FULL
    shared._durations.append(60)
    assert person.told(person.call()) == text.QUEUE_FULL_FOR.format(time="about 3 min")
    assert shared.metrics.registry.get_sample_value("nst_queue_length") == 3
    assert shared.metrics.registry.get_sample_value("nst_refusals_total", {"reason": "queue"}) == 2


def test_places_that_nobody_takes_are_free_again(shared, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(studio, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(studio, "QUEUE_SIZE", 4)
    for visitor in range(4):
        assert shared.join(f"ghost {visitor}", f"address {visitor}") == ""
    assert shared.join("ann", YOURS) == "queue"
    now[0] += studio.GRACE + 1
    assert shared.join("ann", YOURS) == "" and shared.place("ann") == (0, None)
    shared.jobs = lambda: [("ann", YOURS)]
    for _ in range(3):  # her job waits
        now[0] += studio.GRACE
        assert shared.place("ann") == (0, None)


def test_nor_can_one_address_take_them_all(shared):
    answers = [shared.join(f"ghost {number}", YOURS) for number in range(5)]
    assert answers == ["", "", "address", "address", "address"]
    assert shared.join("ann", THEIRS) == ""


def test_a_classroom_behind_one_address(shared, monkeypatch):
    for name in ("SPACE_ID", "NST_RUN_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NST_WAITING_PER_ADDRESS", "30")
    monkeypatch.setattr(limits, "current", limits.current.__wrapped__)
    answers = [shared.join(f"pupil {number}", YOURS) for number in range(20)]
    assert answers == [""] * studio.QUEUE_SIZE + ["queue"] * 4


def test_other_events_do_not_keep_anybody_from_painting(person, shared):
    number = number_of(person, does_paint=False)
    events = [person.join(number, f"flood {each}") for each in range(effort(25, 1000))]
    assert len(set(events)) == len(events)
    person.call(THEIRS)
    assert len(shared.jobs()) == 1


def test_a_flood_of_refusals_is_forgotten_and_the_picture_is_not(person, shared, monkeypatch):
    queue = page_of(shared)._queue
    sessions = queue.pending_messages_per_session
    most = len(sessions) + 5
    monkeypatch.setattr(sessions, "max_size", most)
    monkeypatch.setattr(programs, "PATIENCE", HANG)  # the picture is not read before the flood is over
    mine, event = shared._turns[0][0], person.call()
    for _ in range(effort(30, 3000)):
        person.call()
    assert len(sessions) <= most and {mine, event} <= set(sessions)
    assert len(queue.pending_event_ids_session) <= most
    shared.stop(mine)
    name, told = person.events(mine)[-1]
    assert name == "complete" and told[1].startswith("Stopped after")


def test_a_browser_is_told_why_it_cannot_wait(person, shared, visit):
    tab = visit(shared)
    for _ in range(2):
        person.call("127.0.0.1")
    tab.click("#pair-starry-night")
    tab.wait_for_selector(f"#sentence .error-message:has-text('{text.ADDRESS_WAITS.format(count=2)}')")
    assert tab.is_visible("#paint") and not tab.is_visible("#leave")


# --- A budget of time -------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """A picture takes 0.4 seconds at most, though no estimate is longer."""
    most = replace(limits.current(), seconds=0.4)
    monkeypatch.setattr(limits, "current", lambda: most)


def test_a_run_that_would_not_end_is_ended_and_can_go_on(short, photo, painting):
    page = desk(Painter(steps=100_000))
    *_, last = page.paint(VISITOR, photo, painting, *values())
    run = page.studio.run(VISITOR.session_hash)
    assert run and run.frame and run.out_of_time and 0 < run.frame.step < 100
    assert last.sentence.startswith(f"Stopped after {run.frame.step} of 100000 steps")
    assert text.OUT_OF_TIME.format(time="0 s") in last.sentence and last.more["visible"]
    before = run.frame.step
    *_, last = page.go_on(VISITOR)
    assert run.frame.step > before and text.OUT_OF_TIME.format(time="0 s") in last.sentence
    count = page.studio.metrics.registry.get_sample_value
    assert count("nst_runs_total", {"outcome": "out of time"}) == 2
    assert count("nst_runs_total", {"outcome": "finished"}) == 0


def test_one_that_is_steered_again_and_again_ends_too(short, photo, painting):
    class Endless(Painter):
        def stylize(self, *args, **more):
            for frame in super().stylize(*args, **more):
                self.steps += 12  # as each change of a slider adds
                yield frame

    shared = Studio(lambda _: Endless())
    run = Run(photo, [painting], Settings(size=128))
    frames = [frame.step for frame in shared.paint("ann", run)]
    assert run.out_of_time and len(frames) < 20 and not shared.is_busy_for("ann")


def test_a_run_within_its_time_says_nothing_of_it(photo, painting):
    page = desk(Painter(steps=2).released())
    *_, last = page.paint(VISITOR, photo, painting, *values())
    assert last.sentence.startswith("Painted in") and "here; Continue" not in last.sentence


@pytest.mark.parametrize("name", ["NST_RUN_SECONDS", "NST_WAITING_PER_ADDRESS"])
@pytest.mark.parametrize("value", ["abc", "nan", "0", "-5", "inf", "1e9", "1,5", " "])
def test_nonsense_in_the_environment_is_told_in_a_sentence(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name}: '{value}' should be a number from"):
        limits.current.__wrapped__()


def test_the_owner_sets_the_time(monkeypatch):
    monkeypatch.setenv("NST_RUN_SECONDS", "90")
    for space in ("", "me/it"):
        monkeypatch.setenv("SPACE_ID", space)
        assert limits.current.__wrapped__().seconds == 90


def test_the_layout_uses_our_queue(shared):
    page = layout.build(shared)
    painting = [fn for fn in page.fns.values() if fn.concurrency_id == fairness.PAINTER]
    assert len(painting) == 7 and all(fn.concurrency_limit == 1 for fn in painting)


def test_twelve_visitors_on_two_painters_all_finish_in_order(photo, painting):
    shared = Studio(lambda _: Painter(steps=3).released(), painters=2)
    assert twelve_visitors_finish_in_order(shared, photo, painting, {}) == 2


def twelve_visitors_finish_in_order(shared: Studio, photo: str, painting: str, settings: dict) -> int:
    """Returns how many were painted for at once, at most."""
    begun, most = [], []
    serve, all_wait = shared.paint, threading.Event()

    def paint(visitor: str, run: Run, at_least: int = 0):
        begun.append(visitor)
        all_wait.wait(HANG)
        for frame in serve(visitor, run, at_least):
            most.append(len(shared._turns))
            time.sleep(0.05)
            yield frame

    shared.paint = paint  # type: ignore[method-assign]
    with served(shared) as address:
        person = Person(address, photo, painting)
        person.pictures |= settings
        events = [person.call(f"198.51.100.{number}") for number in range(12)]
        wait_for(lambda: len(begun) == 2)
        order = begun + [session for session, _ in shared.jobs()]
        all_wait.set()
        assert [person.events(event)[-1][0] for event in events] == ["complete"] * 12
    assert len(order) == len(begun) == 12
    assert all(abs(order.index(visitor) - place) <= 1 for place, visitor in enumerate(begun))  # two begin at once
    return max(most)
