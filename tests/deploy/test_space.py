"""nst.deploy.space: the Spacefile, the files generated from it, and a deployment to a fake Hub."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from nst.commands import main
from nst.deploy import space
from nst.deploy.space import ROOT, SpaceError
from tests.serving import free_port, wait_until_ok

SPACEFILE = (ROOT / "Spacefile").read_text(encoding="utf-8")
TOKEN = "hf_of_the_test"


@pytest.fixture
def checkout(tmp_path):
    """A small checkout with the project's Spacefile, except for `files`."""
    (tmp_path / "README.md").write_text("# Title\n\nText with --- in it.\n---\n")
    (tmp_path / "requirements.txt").write_text("# Ours\ntensorflow>=2.18\nkeras>=3.6\ngradio>=6.31,<7\n")
    (tmp_path / "app.py").write_text("print('page')\n")
    told = yaml.safe_load(SPACEFILE) | {"files": ["*.md", "app.py"]}
    (tmp_path / "Spacefile").write_text(yaml.safe_dump(told))
    return tmp_path


def change(checkout: Path, **changes: Any) -> None:
    told = yaml.safe_load((checkout / "Spacefile").read_text()) | changes
    told = {key: value for key, value in told.items() if value is not None}
    (checkout / "Spacefile").write_text(yaml.safe_dump(told))


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": "red"}, "there is no key colour; the keys are title, "),
        ({"colorFrom": "orange"}, "colorFrom is 'orange'; it should be one of red, yellow"),
        ({"emoji": "art"}, "emoji is 'art'; it should be one emoji"),
        ({"short_description": "long " * 20}, "it should be text of 1 to 60 characters"),
        ({"sdk": "docker"}, "sdk is 'docker'; it should be one of gradio"),
        ({"sdk_version": 6.31}, "sdk_version is 6.31; it should be a version such as 6.31.0"),
        ({"python_version": 3.11}, 'python_version is 3.11; it should be text such as "3.11", in quotes'),
        ({"preload_from_hub": ["vgg19"]}, "preload_from_hub is ['vgg19']; it should be a list, each OWNER/NAME"),
        ({"suggested_hardware": "zero-a10g"}, "suggested_hardware is 'zero-a10g'; it should be one of cpu-basic"),
        ({"hf_oauth_scopes": "email"}, "hf_oauth_scopes is 'email'; it should be a list, each a scope such as email"),
        ({"hf_oauth_expiration_minutes": 50000}, "it should be a number of minutes, at most 43200"),
        ({"hf_oauth_authorized_org": {}}, "it should be an organization, or a list of them"),
        ({"custom_headers": {"x-frame-options": "deny"}}, "it should be values for cross-origin-embedder-policy, "),
        ({"base_path": "gallery"}, "base_path is 'gallery'; it should be a path that begins with /"),
        ({"hardware": "zero-a10g"}, "hardware is 'zero-a10g'; it should be one of cpu-basic, cpu-upgrade, or a GPU"),
        ({"sleep_time": True}, "sleep_time is True; it should be a number of seconds"),
        ({"variables": {"A B": 1}}, "variables is {'A B': 1}; it should be names with values"),
        ({"secrets": ["A=1"]}, "secrets is ['A=1']; it should be a list, each a name"),
        ({"title": None}, "title is missing"),
        ({"files": None}, "files is missing"),
    ],
)
def test_what_the_hub_would_not_take_is_told_before(checkout, changes, sentence):
    change(checkout, **changes)
    with pytest.raises(SpaceError, match="^Spacefile: .*" + re.escape(sentence)):
        space.read(checkout)


def test_every_key_for_a_gradio_space_reaches_the_hub(checkout):
    keys = {
        "python_version": "3.11.9",
        "base_path": "/?pair=wave-lion",
        "suggested_hardware": "t4-small",
        "suggested_storage": "small",
        "hf_oauth": True,
        "hf_oauth_scopes": ["email", "read-repos"],
        "hf_oauth_expiration_minutes": 480,
        "hf_oauth_authorized_org": ["us", "them"],
        "custom_headers": {"cross-origin-opener-policy": "same-origin"},
    }
    change(checkout, **keys)
    head = space.front_matter(space.read(checkout)).strip("-\n")
    assert keys.items() <= yaml.safe_load(head).items()
    change(checkout, hf_oauth_authorized_org="us")
    assert space.read(checkout).card["hf_oauth_authorized_org"] == "us"


@pytest.mark.parametrize(
    ("text", "sentence"), [("a: [", "is not valid YAML"), ("- a", "should contain keys with values")]
)
def test_a_spacefile_that_cannot_be_read(checkout, text, sentence):
    (checkout / "Spacefile").write_text(text)
    with pytest.raises(SpaceError, match=sentence):
        space.read(checkout)
    (checkout / "Spacefile").unlink()
    with pytest.raises(SpaceError, match="from a checkout"):
        space.read(checkout)


# --- what is rendered -------------------------------------------------------------------------------------------------


def test_readme_and_requirements_are_as_the_spacefile_says():
    shown = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", space.REQUIREMENTS)}
    told = space.read()
    assert shown["README.md"] == space.readme(shown["README.md"], space.front_matter(told))
    assert shown[space.REQUIREMENTS] == space.requirements(told, (ROOT / "requirements.txt").read_text())


def test_the_sdk_is_a_gradio_that_the_project_takes():
    from packaging.requirements import Requirement

    (line,) = re.findall(r"^gradio.*$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert space.read().card["sdk_version"] in Requirement(line).specifier


def test_rendering_replaces_the_front_matter_and_nothing_else(checkout):
    assert space.render(checkout) == ["README.md", space.REQUIREMENTS]
    assert space.render(checkout) == []
    text = (checkout / "README.md").read_text()
    head, _, body = text.removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(head)["python_version"] == "3.11" and "thumbnail" not in head
    assert body == "\n# Title\n\nText with --- in it.\n---\n"
    change(checkout, title="Another")
    assert space.render(checkout) == ["README.md"]
    assert (checkout / "README.md").read_text() == text.replace("title: Neural style transfer", "title: Another")


@pytest.mark.parametrize(
    ("hardware", "line"), [("cpu-upgrade", "tensorflow-cpu>=2.18"), ("t4-small", "tensorflow[and-cuda]>=2.18")]
)
def test_only_a_gpu_gets_tensorflow_with_cuda_and_gradio_is_the_sdks(checkout, hardware, line):
    text = space.requirements(space.read(checkout, hardware), (checkout / "requirements.txt").read_text())
    assert text == f"# Ours\n{line}\nkeras>=3.6\n"


# --- what is uploaded -------------------------------------------------------------------------------------------------


@pytest.fixture
def uploaded():
    """The folder that is uploaded as the project's Space."""
    with space.staged(space.read(), "me/painter") as folder:
        yield folder


def test_what_a_space_needs_and_nothing_else(uploaded):
    files = {path.relative_to(uploaded).as_posix() for path in uploaded.rglob("*") if path.is_file()}
    assert {"README.md", "requirements.txt", "app.py", "nst/compact.npz", "nst/page/page.css", "LICENSE"} < files
    assert {"nst", "examples", "docs"} == {file.split("/")[0] for file in files if "/" in file}
    assert not [
        file for file in files if "__pycache__" in file or file.startswith("examples/") and file.endswith(".py")
    ]
    text = (uploaded / "README.md").read_text(encoding="utf-8")
    assert "thumbnail: https://huggingface.co/spaces/me/painter/resolve/main/docs/lion.jpg\n" in text
    for shown in re.findall(r"!\[[^]]*\]\((\S+?)\)", text):
        assert shown in files


def test_the_page_starts_from_what_is_uploaded(uploaded, tmp_path):
    port = free_port()
    given = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    address = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    space_like = {"HOME": str(tmp_path), "SPACE_ID": "me/it", "NST_OFFLINE": "1"}
    with subprocess.Popen([sys.executable, "app.py"], cwd=uploaded, env=given | address | space_like) as page:
        try:
            wait_until_ok(page, port, "/readyz")
        finally:
            page.terminate()


def test_a_pattern_that_fits_nothing_is_told(checkout):
    change(checkout, files=["*.md", "lost/*"])
    with (
        pytest.raises(SpaceError, match="no file matches lost/\\*, which is listed in files"),
        space.staged(space.read(checkout), "a/b", checkout),
    ):
        pass


# --- a Hub of our own -------------------------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """A fake Hub with one Space."""

    def __init__(self):
        self.refusal: tuple[int, str] | None = None
        self.files: dict[str, bytes] = {".gitattributes": b"", "old.py": b"", "app.py": b"old"}
        self.variables: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.runtime: dict[str, Any] = {"stage": "RUNNING", "hardware": {"current": "cpu-basic"}, "gcTimeout": None}
        self.made: list[dict] = []
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, body: bytes) -> Any:
        told = json.loads(body) if body.startswith(b"{") and b"\n" not in body.strip() else {}
        kind = path.partition("?")[0].removeprefix("/api/").removeprefix("spaces/me/painter/")
        self.asked.append(kind)
        if kind == "repos/create":
            self.made.append(told)
            return {"url": f"{self.address}/spaces/me/painter"}
        if kind in ("variables", "secrets"):
            getattr(self, kind)[told["key"]] = told["value"]
            return {}
        if kind == "runtime":
            return self.runtime
        if kind == "hardware":
            self.runtime["hardware"] = {"current": "cpu-basic", "requested": told["flavor"]}
            self.runtime["gcTimeout"] = told.get("sleepTimeSeconds")
            return self.runtime
        if kind == "sleeptime":
            self.runtime["gcTimeout"] = told["seconds"]
            return self.runtime
        if kind == "tree/main":
            return [{"type": "file", "path": file, "size": 1, "oid": "0" * 40} for file in self.files]
        if kind == "validate-yaml":
            head = told["content"].split("---\n")[1]
            return {"errors": [] if yaml.safe_load(head)["sdk"] == "gradio" else [{"message": "sdk"}], "warnings": []}
        if kind == "preupload/main":
            return {
                "files": [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in told["files"]
                ]
            }
        if kind == "commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del self.files[line["value"]["path"]]
            return {
                "success": True,
                "commitOid": "0" * 40,
                "commitUrl": f"{self.address}/spaces/me/painter/commit/{40 * chr(48)}",
                "hookOutput": "",
            }
        raise KeyError(path)


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self):  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, told = 401, {"error": "Invalid username or password."}
        elif self.server.refusal:
            status, told = self.server.refusal[0], {"error": self.server.refusal[1]}
        else:
            status, told = 200, self.server.answer(self.path, body)
        written = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        server.shutdown()


def test_a_space_is_made_and_then_left_as_it_is(hub, checkout):
    first = list(space.deploy("me/painter", root=checkout))
    assert [sentence.split()[0] for sentence in first] == ["create", "set", "set", "run", "upload"]
    assert hub.made == [{"name": "painter", "organization": "me", "type": "space", "sdk": "gradio"}]
    assert hub.variables == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "NST_NETWORK": "auto"}
    assert set(hub.files) == {".gitattributes", "README.md", "requirements.txt", "app.py"}  # old.py is gone
    assert hub.files["app.py"] == b"print('page')\n"
    assert hub.files["requirements.txt"] == b"# Ours\ntensorflow-cpu>=2.18\nkeras>=3.6\n"
    assert b"spaces/me/painter/resolve/main/docs/lion.jpg" in hub.files["README.md"]
    assert "hardware" not in hub.asked  # it has the free one already
    assert list(space.deploy("me/painter", root=checkout)) == first


def test_a_gpu_is_asked_for_once_with_its_sleep_and_secrets_are_the_environments(hub, checkout, monkeypatch):
    change(checkout, secrets=["PASSWORD"])
    with pytest.raises(SpaceError, match="The secret PASSWORD needs a value in the environment"):
        list(space.deploy("me/painter", root=checkout))
    monkeypatch.setenv("PASSWORD", "open sesame")
    told = "\n".join(space.deploy("me/painter", hardware="t4-small", root=checkout))
    assert "run it on t4-small, asleep after 3600 seconds" in told and "sesame" not in told
    assert hub.secrets == {"PASSWORD": "open sesame"}
    assert (hub.runtime["hardware"]["requested"], hub.runtime["gcTimeout"]) == ("t4-small", 3600)
    change(checkout, sleep_time=600)
    list(space.deploy("me/painter", hardware="t4-small", root=checkout))
    assert hub.asked.count("hardware") == 1 and hub.runtime["gcTimeout"] == 600
    assert b"tensorflow[and-cuda]>=2.18" in hub.files["requirements.txt"]


def test_a_dry_run_tells_the_same_and_asks_nobody(hub, checkout, capsys):
    dry = list(space.deploy("me/painter", dry_run=True, root=checkout))
    assert hub.asked == []
    assert dry == list(space.deploy("me/painter", root=checkout))
    assert "upload 3 files of" in dry[-1] and "    app.py  14 bytes" in dry[-1]
    asked = len(hub.asked)
    assert main(["space", "deploy", "me/painter", "--hardware", "l4x1", "--dry-run"]) == 0
    assert "would run it on l4x1, asleep after 3600 seconds" in capsys.readouterr().out
    assert len(hub.asked) == asked


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (
            (403, "Pay first."),
            r"refused to create the Space me/painter, if there is none: Pay first\. \(403\)\. You need a token",
        ),
        ((500, "Down."), r"refused to create .*: Down\. \(500\)\.$"),
    ],
)
def test_what_the_hub_refuses_is_told(hub, checkout, refusal, sentence):
    hub.refusal = refusal
    with pytest.raises(SpaceError, match=sentence):
        list(space.deploy("me/painter", root=checkout))


def test_a_wrong_token_no_hub_and_no_name(hub, checkout, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(SpaceError, match=r"\(401\)\. You need a token with write access"):
        list(space.deploy("me/painter", root=checkout))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SpaceError, match="Could not create the Space me/painter.*: ConnectError"):
        list(space.deploy("me/painter", root=checkout))
    with pytest.raises(SpaceError, match="'painter' should be OWNER/NAME"):
        list(space.deploy("painter", root=checkout))
