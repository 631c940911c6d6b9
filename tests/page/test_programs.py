"""nst/page/programs.py, and the page as programs see it: through gradio_client, plain HTTP and MCP."""

import asyncio
import base64
import http.server
import json
import threading
import time
from asyncio import Queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import gradio as gr
import pytest

from nst import catalogue
from nst.page import limits, programs, sharing
from nst.page.programs import ARGUMENTS, BEHIND, LONG_PATIENCE, PATIENCE, Reader, brief, schema
from nst.page.sharing import EXTRAS, PARAMETERS
from nst.page.studio import Studio
from nst.page.text import UNREAD
from nst.settings import Settings
from tests.painter import Painter, picture, values
from tests.serving import HANG

httpx = pytest.importorskip("httpx")
client_module = pytest.importorskip("gradio_client")


def wait_for(condition) -> None:
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(coroutine):
    """Its result, also where Playwright has left a loop running in this thread."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, coroutine).result()


def file(path: str) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


class Caller:
    """Plain HTTP with a page."""

    def __init__(self, address: str, photo: str, painting: str):
        self.url = f"{address}/gradio_api/"
        self.pictures = {"content": file(self.upload(photo)), "style": file(self.upload(painting))}

    def upload(self, path: str) -> str:
        sent = {"files": (Path(path).name, Path(path).read_bytes())}
        return httpx.post(self.url + "upload", files=sent, timeout=HANG).json()[0]

    def post(self, **arguments):
        body = json.dumps(self.pictures | {"size": 128} | arguments)  # has NaN, unlike that of httpx
        return httpx.post(
            self.url + "call/v2/paint", content=body, headers={"Content-Type": "application/json"}, timeout=HANG
        )

    def events(self, event_id: str) -> list[tuple[str, object]]:
        text = httpx.get(self.url + f"call/paint/{event_id}", timeout=HANG).text
        pairs = (block.split("\ndata: ", 1) for block in text.strip().split("\n\n"))
        return [(name.removeprefix("event: "), json.loads(data)) for name, data in pairs]

    def paint(self, **arguments) -> tuple[str, object]:
        """The last event: its name and data."""
        return self.events(self.post(**arguments).json()["event_id"])[-1]


@pytest.fixture
def painter():
    return Painter(steps=2).released()


@pytest.fixture
def caller(address, painter, photo, painting):
    return Caller(address(Studio(lambda _: painter)), photo, painting)


@pytest.fixture
def client(caller):
    client = client_module.Client(
        caller.url.removesuffix("gradio_api/"), verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": HANG}
    )
    yield client
    client.close()


# --- What a setting takes ---------------------------------------------------------------------------------------------


def extremes(name: str) -> list:
    """The smallest and the largest value, or all choices, by the schema."""
    told = schema(name)
    if told["type"] == "string":
        return told.get("enum", [])
    number = told.get("items") or told.get("additionalProperties") or told
    wrap = {"array": lambda value: [value], "object": lambda value: {"block1_conv1": value}}.get(told["type"])
    return [wrap(number[end]) if wrap else number[end] for end in ("minimum", "maximum")]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_schema_gives_the_range_that_is_checked(name):
    knob = {knob.name: knob for knob in fields(Settings)}[name]
    assert schema(name)["description"] == knob.metadata["help"]
    one_scale = {"scale_factor": 8, "min_scale": 4096} if name == "steps" else {}
    taken = extremes(name)
    for value in taken:
        if value not in ({"block1_conv1": 0}, "paper") and (name, value) != (
            "style_blend",
            [0],
        ):  # refused for other reasons
            sharing.settings_of({name: value} | one_scale)
    if not isinstance(taken[0], str):
        low, high = (json.loads(json.dumps(value)) for value in taken)
        for value, step in ((low, -1), (high, 1)):
            (outside,) = (
                [value[0] + step]
                if isinstance(value, list)
                else {key: number + step for key, number in value.items()}
                if isinstance(value, dict)
                else value + step,
            )
            with pytest.raises(ValueError, match=f"{name}: "):
                sharing.settings_of({name: outside} | one_scale)


def test_programs_are_told_every_range_and_choice(client, caller):
    told = client.view_api(return_format="dict")["named_endpoints"]["/paint"]
    kinds = {parameter["parameter_name"]: parameter["type"] for parameter in told["parameters"]}
    assert tuple(kinds) == ARGUMENTS
    assert {name: kinds[name] for name in PARAMETERS} == {name: schema(name) for name in PARAMETERS}
    assert kinds["size"]["maximum"] == limits.current().size and kinds["network"]["enum"] == [
        "auto",
        "compact",
        "vgg19",
    ]
    assert [returned["label"] for returned in told["returns"]] == ["Picture", "Sentence", "Result"]
    assert told["returns"][2]["type"] == programs.RESULT


# --- What comes back --------------------------------------------------------------------------------------------------


def test_the_result_is_json(client, caller, photo, painting):
    files = [client_module.handle_file(path) for path in (photo, painting)]
    _, sentence, result = client.predict(*files, size=128, seed=7, api_name="/paint")
    assert sentence.startswith("Painted in")
    assert set(result) == set(programs.RESULT["properties"])
    made = result.pop("recipe")
    losses = {"content": 1.0, "style": 0.0, "total_variation": 0.25, "total": 1.25}
    numbers = {"step": 2, "steps": 2, "scale": 128, "width": 128, "height": 85, "seconds": 1.0, "remaining": 0.0}
    assert result == numbers | {"losses": losses}
    assert (made["settings"]["seed"], made["size"], made["content"]["name"]) == (7, [128, 85], "my photo.png")
    name, data = caller.paint()
    assert name == "complete" and data[1].startswith("Painted in") and data[2]["losses"] == losses


# --- What is refused --------------------------------------------------------------------------------------------------

WRONG = {
    "strength": ["NaN", float("nan"), None, "70", [50], 101, {"a": 1}],
    "size": [5000, "abc", None, 128.5, 1e400, {"path": "/etc/passwd"}, file("/etc/passwd"), file("http://127.0.0.1/x")],
    "steps": [[5] * 100_000, "many", 5, [0], [[1] * 100_000], []],
    "style_layers": [None, [], {"block1_conv1": "much"}, {f"layer{n}": 1 for n in range(100)}, "x" * 100_000],
    "content_layers": [{"block4_conv2": -1}, {}],
    "style_blend": [["a"], [1.0] * 65, 7],
    "network": ["vgg", None, 7, "x" * 100_000],
    "seed": [-1, 0.5],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_told_in_a_sentence(caller, painter, name, capfd):
    for value in WRONG[name]:
        event, told = caller.paint(**{name: value})
        assert event == "error", value
        assert told["error"].startswith(f"{name}: ") and len(told["error"]) < 500, told
        assert any(word in told["error"] for word in ("should be", "at least", "at most", "no file")), told
    assert painter.settings is None  # nothing was painted
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def visits():
    """(address, paths asked for) of a server elsewhere."""
    asked = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_only_uploads_are_pictures(caller, painter, visits, tmp_path, photo, capfd, monkeypatch):
    import safehttpx

    url, asked = visits
    monkeypatch.setattr(safehttpx, "get", lambda *_, **__: asked.append("safehttpx"))
    wrong = [file(photo), file("/etc/passwd"), file(str(catalogue.find("tower").path)), file(f"{url}/x.png")]
    wrong += ["tower", "plain text", photo, f"{url}/x.png", {"path": photo}, {"url": f"{url}/x.png", **file("")}]
    wrong += [
        {"url": f"{url}/x.png", "meta": {"_type": "gradio.FileData"}},
        7,
        [caller.pictures["content"]],
        {"meta": {}, "path": 7},
    ]
    wrong += [
        file(f"{url}/gradio_api/file={photo}"),
        file(f"{url}/gradio_api/file="),
        file("a\0b"),
        {"meta": 7, "path": "a"},
    ]
    wrong += [file(caller.pictures["content"]["path"] + "/../../../../../../etc/passwd")]
    for name in ("content", "style"):
        for value in wrong:
            event, told = caller.paint(**{name: value})
            assert event == "error" and told["error"].startswith(f"{name}: "), (value, told)
            assert programs.UPLOAD in told["error"], (value, told)
    gone = str(Path(caller.pictures["content"]["path"]).with_name("gone.png"))
    assert "upload it again" in caller.paint(content=file(gone))[1]["error"]
    assert caller.paint(content=None)[1]["error"].startswith("There is no photo yet")
    text = tmp_path / "notes.png"
    text.write_text("plain text")
    assert "notes.png" in caller.paint(content=file(caller.upload(str(text))))[1]["error"]
    assert painter.settings is None and asked == []
    assert "Traceback" not in capfd.readouterr().err


def test_the_address_of_an_upload_is_an_upload(caller, painter):
    upload = file(f"https://example.com/gradio_api/file={caller.pictures['content']['path']}")  # nothing is fetched
    assert caller.paint(content=upload)[0] == "complete"


def test_values_by_position_are_counted(caller):
    data = {"data": [caller.pictures["content"], caller.pictures["style"]]}
    event = httpx.post(caller.url + "call/paint", json=data, timeout=HANG).json()["event_id"]
    name, told = caller.events(event)[-1]
    assert name == "error" and told["error"].startswith(f"2 values should be {len(ARGUMENTS)}: content, style, size")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"strenght": 70}, "strenght: there is no such setting; did you mean strength?"),
        ({"weights": "x"}, f"weights: there is no such setting; it should be one of {', '.join(ARGUMENTS)}"),
    ],
)
def test_a_name_that_is_spelled_wrong(caller, change, sentence, capfd):
    answer = caller.post(**change)
    assert (answer.status_code, answer.json()) == (422, {"detail": sentence})
    assert "Traceback" not in capfd.readouterr().err


def test_a_missing_picture(caller, capfd):
    answer = httpx.post(caller.url + "call/v2/paint", json={"size": 128}, timeout=HANG)
    assert (answer.status_code, answer.json()) == (
        422,
        {"detail": f"content: nothing was given; it should be {programs.UPLOAD}"},
    )
    assert "Traceback" not in capfd.readouterr().err


def test_other_type_errors_are_faults():
    request = programs.Request({"type": "http", "path": "/gradio_api/call/v2/paint", "headers": []})
    with pytest.raises(TypeError, match="unsupported"):
        run(programs.wrong_arguments(request, TypeError("unsupported operand")))


def test_a_client_learns_the_sentence(client, caller, photo, painting):
    files = [client_module.handle_file(path) for path in (photo, painting)]
    for name, value, right in (
        ("size", 5000, "128 to"),
        ("strength", "NaN", "from 0 to 100"),
        ("content", "tower", ""),
    ):
        given = {"content": files[0], "style": files[1]} | {name: value}
        with pytest.raises(client_module.exceptions.AppError, match=f"{name}: .*{value}.* should be .*{right}"):
            client.predict(**given, api_name="/paint")


def test_a_long_sentence_keeps_its_ends():
    assert brief("size: 1 should be") == "size: 1 should be"
    assert brief("steps: " + "1" * 1_000_000 + " should be 3").startswith("steps: 111")
    assert brief("steps: " + "1" * 1_000_000 + " should be 3").endswith(" should be 3")


# --- Who does not read ------------------------------------------------------------------------------------------------


def test_a_run_that_nobody_reads_ends(address, photo, painting, monkeypatch):
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    painter = Painter(steps=100_000)
    caller = Caller(address(Studio(lambda _: painter)), photo, painting)
    event = caller.post().json()["event_id"]
    wait_for(painter.closed.is_set)  # by itself, hours before its end
    *_, (_, last), (name, told) = caller.events(event)
    assert (name, told["error"]) == ("error", UNREAD)
    assert 0 < last[2]["step"] < 100_000 and last[0]["path"].endswith(".png")  # and what it has is saved


def test_so_does_one_of_a_browser_that_has_gone(address, photo, painting, monkeypatch):
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    painter = Painter(steps=100_000)
    caller = Caller(address(Studio(lambda _: painter)), photo, painting)
    events = httpx.get(caller.url.removesuffix("gradio_api/") + "config", timeout=HANG).json()["dependencies"]
    (number,) = (event["id"] for event in events if event["api_name"] == "paint")
    body = {
        "data": [*caller.pictures.values(), *values(), *(None for _ in EXTRAS)],
        "fn_index": number,
        "session_hash": "gone",
    }
    assert httpx.post(caller.url + "queue/join", json=body, timeout=HANG).status_code == 200
    wait_for(painter.closed.is_set)


def test_a_run_that_is_read_slowly_goes_on(address, photo, painting, monkeypatch):
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    painter = Painter(steps=20)
    caller = Caller(address(Studio(lambda _: painter)), photo, painting)
    event = caller.post().json()["event_id"]
    read = ""
    with httpx.stream("GET", caller.url + f"call/paint/{event}", timeout=HANG) as response:
        for text in response.iter_text():
            read += text
            time.sleep(0.4)  # frames come every 0.15 s
    assert "event: complete" in read and UNREAD not in read


def test_patience_with_readers(monkeypatch):
    now, messages = [100.0], Queue()
    monkeypatch.setattr(programs.time, "monotonic", lambda: now[0])

    def later(reader: Reader, seconds: float) -> bool:
        now[0] += seconds
        return reader.has_gone()

    reader = Reader(messages)
    messages.put_nowait("started")
    assert not reader.has_gone()
    messages.put_nowait("frame")
    assert not later(reader, PATIENCE)
    assert later(reader, 1)  # nothing was ever read

    reader = Reader(messages)
    assert not reader.has_gone()
    for number in range(3 * BEHIND):  # more comes than is read
        messages.put_nowait(f"frame {number}")
        messages.put_nowait(f"frame {number}, too")
        messages.get_nowait()
        assert not later(reader, LONG_PATIENCE)
    assert reader.is_behind()
    assert later(reader, LONG_PATIENCE + 1)

    while not messages.empty():
        messages.get_nowait()
    assert not later(reader, 10 * LONG_PATIENCE) and not reader.is_behind()  # all is read
    assert not Reader(None).has_gone() and not Reader(None).is_behind()


def test_gradio_has_what_a_reader_looks_at():
    assert gr.Blocks()._queue.pending_messages_per_session == {}
    assert not Queue()._queue  # type: ignore[attr-defined]


# --- Language models --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Use `streamable_http_client` instead:DeprecationWarning")  # mcp 1.21 has none yet
def test_a_tool_for_language_models(address, photo, painting, tmp_path):
    mcp = pytest.importorskip("mcp", reason="The mcp package is not installed (pip install '.[mcp]').")
    from mcp.client.streamable_http import streamablehttp_client

    painter = Painter(steps=2).released()
    url = address(Studio(lambda _: painter))
    caller = Caller(url, photo, painting)
    data = (
        "data:image/png;base64,"
        + base64.b64encode(Path(picture(tmp_path / "own.png", (248, 160))).read_bytes()).decode()
    )
    uploaded = f"{caller.url}file={caller.pictures['style']['path']}"
    settings = {"size": 128, "strength": 70, "steps": [9, 8], "style_layers": {"block1_conv1": 2}, "style_blend": [1]}

    async def converse():
        async with (
            streamablehttp_client(f"{caller.url}mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            good = await session.call_tool("paint", {"content": data, "style": uploaded, **settings})
            bad = [
                await session.call_tool("paint", {"content": data, "style": uploaded, **wrong})
                for wrong in ({"size": 5000}, {"strenght": 1}, {"steps": [9999]}, {"style": "http://127.0.0.1/x.png"})
            ]
            return tools, good, bad

    tools, good, bad = run(converse())
    (tool,) = tools
    assert tool.name == "paint" and "data: URL" in tool.inputSchema["properties"]["content"]["description"]
    assert tool.inputSchema["required"] == ["content", "style"]
    for name in PARAMETERS:
        told = tool.inputSchema["properties"][name]
        assert {key: told[key] for key in schema(name)} == schema(name)
    assert not good.isError and painter.settings == Settings(**settings)
    kinds = [part.type for part in good.content]
    assert kinds == ["image", "text", "text", "text"] and good.content[0].mimeType == "image/png"
    assert good.content[2].text.startswith("Painted in") and "'losses'" in good.content[3].text
    assert [part.isError for part in bad] == [True] * 4
    assert "5000" in bad[0].content[0].text and "strenght" in bad[1].content[0].text
    assert "9999" in bad[2].content[0].text and programs.UPLOAD in bad[3].content[0].text
