"""nst.page.guard and nst.page.password: what browsers, proxies and strangers' programs do with the page's addresses."""

import contextlib
import http.client
import http.server
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from nst.page import guard, password
from nst.page.studio import Studio
from tests.effort import effort
from tests.painter import Painter
from tests.serving import HANG, served

httpx = pytest.importorskip("httpx")

SECRET = "nst:p:ä word"  # of NST_AUTH; a password may have colons and all else
BASIC = ("nst", "p:ä word".encode())


def painted(tab, size: int = 128) -> None:
    tab.fill("#size input[type=number]", str(size))
    tab.press("#size input[type=number]", "Tab")
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")


def studio() -> Studio:
    return Studio(lambda _: Painter(steps=4).released())


def cached() -> set[Path]:
    """Files of Gradio's cache, and parts of uploads."""
    from gradio.utils import get_upload_folder

    return {path for path in Path(get_upload_folder()).rglob("*") if path.is_file()}


@pytest.fixture
def listener():
    """(port of this machine where somebody listens, who has connected)"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server.getsockname()[1], lambda: _accepted(server)


def _accepted(server: socket.socket) -> list:
    try:
        return [server.accept()]
    except TimeoutError:
        return []


@pytest.fixture
def outside(monkeypatch):
    """Addresses other than this machine's that this process connects to or looks up."""
    monkeypatch.setenv("NST_OFFLINE", "1")  # else choosing a painting asks Wikimedia for the real one
    asked = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def record(host) -> None:
        if host not in ("127.0.0.1", "localhost", "::1", None, b"127.0.0.1"):
            asked.append(host)

    def connecting(self, address):
        record(address[0] if isinstance(address, tuple) else None)
        return connect(self, address)

    def looking_up(host, *more, **options):
        record(host)
        return look_up(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    return asked


# --- Headers ----------------------------------------------------------------------------------------------------------


def test_the_whole_page_asks_no_other_host_and_keeps_its_policy(visit, photo, outside):
    tab = visit(studio(), permissions=["clipboard-read", "clipboard-write"], color_scheme="dark")
    for name in ("about", "more-settings", "studio", "curious"):
        tab.click(f"#{name} > button")
    tab.set_input_files("#content input[type=file]", photo)
    tab.wait_for_function("document.querySelector('#content img')?.naturalWidth === 240")  # else there is none to paint
    tab.click("#paintings [data-name]")
    for name in ("Paintings", "Where", "Tries", "Look"):
        tab.click(f"#studio button[role=tab]:has-text('{name}')")
        if name == "Where":
            tab.locator("#where canvas").scroll_into_view_if_needed()
            tab.wait_for_selector("#where canvas")
            box = tab.locator("#where canvas").bounding_box()
            tab.mouse.move(box["x"] + 20, box["y"] + 20)
            tab.mouse.down()
            tab.mouse.move(box["x"] + 60, box["y"] + 40)
            with tab.expect_response("**/gradio_api/upload*"):
                tab.mouse.up()
            tab.click("#where [name=clear]")
    painted(tab)
    for name in ("touches", "film"):
        tab.click(f"#{name} > button")
    tab.wait_for_function("document.querySelector('#reel video')?.readyState >= 1")
    for button, told in (("share", "Link copied"), ("share-picture", "Picture copied")):
        tab.click(f"#{button}")
        tab.wait_for_selector(f"#address:has-text('{told}')")
    tab.click("#picture button[aria-label*='ull']")  # the full screen
    for name in ("download", "film-download"):
        tab.evaluate("document.exitFullscreen?.().catch(() => 0)")
        with tab.expect_download():
            tab.locator(f"#{name}").dispatch_event("click")
    tab.goto(tab.url.split("?")[0])
    tab.click("button.show-api")
    tab.wait_for_selector("h3:has-text('API name: /paint')", state="attached")
    assert outside == []


def test_a_script_that_is_injected_does_not_run(browser, address):
    tab = browser.new_page()
    tab.goto(address(studio()))
    tab.wait_for_selector("#paint")
    assert tab.evaluate("""async () => {
        const violated = new Set();
        document.addEventListener("securitypolicyviolation", event => violated.add(event.effectiveDirective));
        document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.ran = 1">');
        document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = 2"}));
        document.body.append(Object.assign(document.createElement("script"), {src: "https://example.com/x.js"}));
        document.body.append(Object.assign(document.createElement("iframe"), {src: "https://example.com/"}));
        await fetch("https://example.com/").catch(() => 0);
        await new Promise(done => setTimeout(done, 300));
        return [window.ran ?? null, [...violated].sort()];
    }""") == [None, ["connect-src", "frame-src", "script-src-attr", "script-src-elem"]]
    tab.close()


class Site(http.server.BaseHTTPRequestHandler):
    """Another site, that shows the page in a frame."""

    page = ""

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<iframe src='{self.page}' width='1200' height='800'></iframe>".encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    """site(page) is the address of another site, on another host, that shows a page in a frame."""
    servers = []

    def open_site(page: str, handler=Site) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Shown", (handler,), {"page": page}))
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://localhost:{server.server_port}"

    yield open_site
    for server in servers:
        server.shutdown()
        server.server_close()


def test_other_sites_show_the_page_in_a_frame_if_its_owner_says_so(browser, address, site, monkeypatch):
    url = address(studio())
    elsewhere = site(url)
    tab = browser.new_page()
    tab.goto(elsewhere)
    tab.wait_for_timeout(500)
    assert tab.frames[1].url.startswith("chrome-error:")
    monkeypatch.setenv("NST_FRAME_ANCESTORS", f"https://example.org {elsewhere}")
    tab.goto(elsewhere)
    tab.frame_locator("iframe").locator("#paint").wait_for()
    tab.close()
    told = httpx.get(url, timeout=HANG).headers["content-security-policy"]
    assert f"frame-ancestors 'self' https://huggingface.co https://*.hf.space https://example.org {elsewhere}" in told


def test_a_wrong_frame_ancestor_ends_the_program(monkeypatch):
    monkeypatch.setenv("NST_FRAME_ANCESTORS", "https://example.org; script-src *")
    with pytest.raises(SystemExit, match="NST_FRAME_ANCESTORS: 'https://example.org;' should be"):
        guard.check_environment()


@pytest.mark.parametrize("path", ["", "healthz", "config", "preview.jpg", "gradio_api/info", "gradio_api/nothing"])
def test_every_answer_has_the_headers(address, path):
    answer = httpx.get(f"{address(studio())}/{path}", timeout=HANG)
    assert {name: answer.headers.get(name) for name in guard.HEADERS} == guard.HEADERS


HTML = b"<html><script>document.title = 'ran'; window.ran = 1</script></html>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.ran = 1</script></svg>"


@pytest.mark.parametrize("name", ["x.svg", "x.html", "x.png", "x.xhtml", "x.xml", "x.js", "x", "x.txt", "x.pdf"])
def test_an_upload_runs_no_script(browser, address, name):
    url = address(studio())
    sent = {"files": (name, SVG if name.endswith(("svg", "xml")) else HTML)}
    path = httpx.post(f"{url}/gradio_api/upload", files=sent, timeout=HANG).json()[0]
    for headers in ({}, {"Range": "bytes=0-200", "Content-Type": "text/html", "X-Test": "1"}):
        answer = httpx.get(f"{url}/gradio_api/file={path}", headers=headers, timeout=HANG)
        assert answer.status_code in (200, 206)
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in ("image/png", "text/plain") or answer.headers["content-disposition"].startswith("attachment")
        assert kind not in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/pdf")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == guard.FILE_POLICY
        assert "x-test" not in answer.headers
    if name in ("x.png", "x.txt"):  # what browsers show and do not download
        tab = browser.new_page()
        tab.goto(f"{url}/gradio_api/file={path}")
        assert tab.evaluate("[window.ran ?? null, document.title]")[0] is None
        tab.close()


# --- Bodies -----------------------------------------------------------------------------------------------------------


def raw(url: str, sent: bytes, more: bytes = b"", hang_up: bool = False) -> bytes:
    """What the server answers to these bytes."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=HANG) as connection:
        connection.sendall(sent)
        if more:
            connection.sendall(more)
        if hang_up:
            return b""
        answer = b""
        while not answer.endswith(b"}") and (some := connection.recv(1 << 16)):
            answer += some
        return answer


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST /gradio_api/{path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


FORM = "Content-Type: multipart/form-data; boundary=b"


def part(content: bytes, name: str = "files", filename: str | None = "x.png") -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


def post(url: str, body: bytes, path: str = "upload", kind: str = "multipart/form-data; boundary=b", chunked=False):
    content = iter([body[start : start + 65536] for start in range(0, len(body), 65536)]) if chunked else body
    return httpx.post(f"{url}/gradio_api/{path}", content=content, headers={"Content-Type": kind}, timeout=HANG)


@pytest.mark.parametrize(
    "path",
    ["upload", "queue/join", "call/paint", "call/v2/paint", "run/paint", "cancel", "component_server", "mcp/", "reset"],
)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(address, path):
    url, before = address(studio()), cached()
    answer = raw(url, head(path, f"Content-Length: {200 << 20}", FORM if path == "upload" else "Content-Type: x/json"))
    assert answer.startswith(b"HTTP/1.1 413 ") and b"MB, which is the most that this page takes." in answer
    assert cached() == before


def test_an_upload_that_turns_out_too_large_leaves_nothing(address, monkeypatch):
    url, before = address(studio()), cached()
    monkeypatch.setattr(guard, "UPLOAD_BYTES", 1 << 20)
    answer = post(url, part(bytes(2 << 20)) + b"--b--\r\n", chunked=True)
    assert (answer.status_code, answer.json()["detail"]) == (413, guard.too_large(1 << 20))
    answer = post(url, part(bytes(1 << 19)) * 3 + b"--b--\r\n", chunked=True)  # each by itself is small enough
    assert answer.status_code == 413
    assert cached() == before


@pytest.mark.parametrize("path", ["queue/join", "call/paint", "call/v2/paint", "run/paint", "cancel", "mcp/"])
def test_json_without_a_length_is_refused_when_it_has_become_too_large(address, path, monkeypatch):
    monkeypatch.setattr(guard, "TOOL_BYTES", 1 << 20)
    answer = post(address(studio()), b'{"data": "' + b" " * (2 << 20) + b'"}', path, "application/json", chunked=True)
    assert (answer.status_code, answer.json()["detail"]) == (413, guard.too_large(1 << 20))


@pytest.mark.parametrize(
    "body, status",
    [
        (part(b"1") * 5 + b"--b--\r\n", 400),  # too many files
        (part(b"1" * 100_000, filename=None) + b"--b--\r\n", 400),  # no file, and kept in memory
        (part(b"1", name="other") + b"--b--\r\n", 200),  # not asked for
        (part(b"1" * 100_000), 200),  # without an end
        (part(b"1") + b"\0\0 no boundary", 200),
        (b"no boundary", 400),
    ],
)
def test_what_is_no_complete_upload_is_deleted(address, body, status):
    url, before = address(studio()), cached()
    answer = post(url, body)
    assert answer.status_code == status and (status != 200 or answer.json() == [])
    assert cached() == before


def test_an_upload_that_breaks_off_is_deleted(address):
    url, before = address(studio()), cached()
    raw(url, head("upload", "Content-Length: 1000000", FORM), part(bytes(200_000)), hang_up=True)
    deadline = time.monotonic() + HANG
    time.sleep(0.5)
    while cached() != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_body_that_stays_away_is_refused(address, monkeypatch):
    url, before = address(studio()), cached()
    monkeypatch.setattr(guard, "SILENCE", 0.3)
    for path, kind in (("upload", FORM), ("queue/join", "Content-Type: application/json")):
        answer = raw(url, head(path, "Content-Length: 1000", kind), part(b"1")[:50])
        assert answer.startswith(b"HTTP/1.1 408 ") and guard.TOO_SLOW.encode() in answer
    assert cached() == before


def test_long_headers_are_refused(address):
    answer = raw(address(studio()), head("cancel", "X-Long: " + "x" * 100_000)[:90_000])  # 64 kB at most
    assert answer.startswith(b"HTTP/1.1 400 ")


# --- Closed routes ----------------------------------------------------------------------------------------------------


def test_the_server_fetches_nothing_for_others(address, listener, outside):
    url = address(studio())
    port, connected = listener
    hosts = [f"127.0.0.1:{port}", "example.com", f"localhost:{port}", f"[::1]:{port}", f"0.0.0.0:{port}", "10.0.0.1"]
    for host in effort(hosts[:2], hosts):
        target = f"http://{host}/x.png"
        for path in (
            f"file={target}",
            f"file={target.replace('http', 'HTTP')}",
            f"file={quote(target, safe='')}",
            f"file=//{host}/x.png",
            f"file=%20{target}",
            f"file=ftp://{host}/x.png",
            f"file/{target}",
            f"proxy={target}",
            f"proxy={quote(target, safe='')}",
            f"custom_component/1/client/{quote(target, safe='')}/x",
            f"stream/{quote(target, safe='')}/1/1/playlist.m3u8",
        ):
            for start in ("/gradio_api/", "/GRADIO_API/", "//gradio_api/"):
                answer = httpx.get(url + start + path, timeout=HANG, follow_redirects=True)
                assert answer.status_code in (403, 404), path
        data = {"data": [{"path": target, "url": target, "meta": {"_type": "gradio.FileData"}}] * 2}
        httpx.post(f"{url}/gradio_api/call/paint", json=data, timeout=HANG)
    assert connected() == []
    assert outside == []


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "deep_link?session_hash=x"),
        ("POST", "process_recording"),
        ("POST", "component_server"),
        ("GET", "vibe-code"),
        ("POST", "vibe-edit"),
        ("GET", "dev/reload"),
        ("POST", "stream/x"),
        ("GET", "runs"),
    ],
)
def test_what_the_page_does_not_use_is_closed(address, method, path):
    answer = httpx.request(method, f"{address(studio())}/gradio_api/{path}", timeout=HANG)
    assert (answer.status_code, answer.json()) == (404, {"detail": guard.CLOSED_SENTENCE})


# --- A private page ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private():
    """Address of a page with a password."""
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NST_AUTH", SECRET)
            url = stack.enter_context(served(studio()))
        yield url


@pytest.fixture
def no_wrong_tries(monkeypatch):
    monkeypatch.setattr(password, "WINDOW", -1.0)  # each is forgotten at once


@pytest.mark.parametrize("told", ["", ":", "user", "user:", ":password", " :x"])
def test_a_wrong_password_variable_ends_the_program(monkeypatch, told):
    monkeypatch.setenv("NST_AUTH", told)
    with pytest.raises(SystemExit, match="^NST_AUTH should be a user name, a colon and a password, like user:pass.*$"):
        password.check_environment()


def test_a_private_page_is_closed_but_for_its_health(private, no_wrong_tries):
    closed = ("", "config", "icon.png", "preview.jpg", "favicon.ico", "assets/x.js", "static/x", "theme.css", "metrics")
    api = ("info", "openapi.json", "file=/etc/passwd", "queue/data?session_hash=x", "heartbeat/x", "mcp/", "user")
    for path in (*closed, *(f"gradio_api/{name}" for name in api)):
        answer = httpx.get(f"{private}/{path}", timeout=HANG)
        assert (answer.status_code, answer.json()) == (401, {"detail": password.PASSWORD_NEEDED}), path
        assert answer.headers["www-authenticate"].startswith("Basic ") and "set-cookie" not in answer.headers
        if path in closed:
            assert httpx.get(answer.url, timeout=HANG, auth=BASIC).status_code != 401
    for path in ("upload", "queue/join", "call/paint", "cancel", "mcp/", "reset"):
        assert httpx.post(f"{private}/gradio_api/{path}", timeout=HANG).status_code == 401
    for path in ("healthz", "readyz", "healthz/x", "x/healthz?"):
        assert httpx.get(f"{private}/{path}", timeout=HANG).status_code in (200, 404, 401, 503)
    assert httpx.get(f"{private}/healthz", timeout=HANG).status_code == 200
    wrong = [("nst", "wrong"), ("wrong", BASIC[1]), ("", "")]
    assert {httpx.get(private, timeout=HANG, auth=auth).status_code for auth in wrong} == {401}
    for header in ("Basic", "Basic !!!", "Bearer x", "Basic " + "A" * 10_000, "basic \xff"):
        answer = httpx.get(private, timeout=HANG, headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401


def test_wrong_passwords_are_limited(private, caplog, monkeypatch):
    monkeypatch.setattr(password, "WINDOW", 3600.0)
    inside = httpx.Client(timeout=HANG)
    httpx.get(private, timeout=HANG, auth=("nst", "wrong"))
    assert inside.get(private, auth=BASIC).status_code == 200
    tries = [httpx.get(private, timeout=HANG, auth=("nst", f"wrong{n}")).status_code for n in range(password.TRIES + 1)]
    assert tries[0] == 401 and tries[-1] == 429
    answer = httpx.get(private, timeout=HANG, auth=BASIC)  # else a right guess would be told
    assert (answer.status_code, answer.json()["detail"]) == (429, password.TOO_MANY_TRIES)
    login = {"username": "nst", "password": "p:ä word"}
    assert httpx.post(f"{private}/login", data=login, timeout=HANG).status_code == 429
    assert inside.get(private).status_code == 200  # the cookie lets those in who were
    assert "wrong" not in caplog.text and "word" not in caplog.text
    monkeypatch.setattr(password, "WINDOW", -1.0)
    monkeypatch.setattr(password, "monotonic", lambda: time.monotonic() + 4000)
    assert password.Tries().left({"client": None})
    assert httpx.get(private, timeout=HANG, auth=BASIC).status_code == 200


def test_a_household_of_ipv6_has_one_count():
    tries = password.Tries()
    for n in range(password.TRIES):
        tries.left({"client": ("::1", 1)})
        tries.add({"client": (f"2001:db8::{n:x}", 1)})
    assert not tries.left({"client": ("2001:db8::ffff", 1)})
    assert tries.left({"client": ("2001:db8:0:1::1", 1)}) and tries.left({"client": None})


def test_other_sites_cannot_use_the_password_of_a_visitor(private, no_wrong_tries):
    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(f"{private}/config", auth=BASIC, timeout=HANG, headers=named).status_code

    assert status(sec_fetch_site="cross-site", sec_fetch_mode="cors") == 403
    assert status(origin="https://example.com") == 403
    assert status(sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert status(origin=private, sec_fetch_site="same-origin") == 200
    assert status(origin=private) == 200
    assert status(origin="https://example.com", x_forwarded_host="example.com") == 200


def test_a_browser_paints_on_a_private_page_also_in_a_frame(browser, private, site, photo, monkeypatch):
    monkeypatch.setattr(password, "WINDOW", -1.0)
    elsewhere = site(private)
    monkeypatch.setenv("NST_FRAME_ANCESTORS", elsewhere)
    for address in (private, elsewhere):
        profile = browser.new_context(http_credentials={"username": BASIC[0], "password": BASIC[1].decode()})
        tab = profile.new_page()
        refused = []
        tab.on("response", lambda answer, told=refused: told.append(answer.url) if answer.status > 401 else None)
        tab.goto(address)
        page = tab.frames[1] if address == elsewhere else tab.main_frame
        if address == elsewhere:
            for name, value in zip(("username", "password"), (BASIC[0], BASIC[1].decode())):
                page.fill(f"[name={name}]", value)
            page.click("button")
        page.wait_for_selector("#style img", timeout=HANG * 1000)
        page.set_input_files("#content input[type=file]", photo)
        page.wait_for_selector("#content img")
        page.fill("#size input[type=number]", "128")
        page.press("#size input[type=number]", "Tab")
        page.click("#paint")
        page.wait_for_selector("#sentence:has-text('Painted in')", timeout=HANG * 1000)
        with tab.expect_download():
            page.click("#download:visible")
        profile.close()
        assert [url for url in refused if "manifest" not in url] == []


def test_programs_paint_on_a_private_page(private, photo, no_wrong_tries):
    client_module = pytest.importorskip("gradio_client")
    options = {"verbose": False, "analytics_enabled": False}
    with pytest.raises(Exception, match="ould not l"):
        client_module.Client(private, **options)
    with pytest.raises(Exception, match="ould not login"):
        client_module.Client(private, auth=("nst", "wrong"), **options)
    client = client_module.Client(private, auth=("nst", BASIC[1].decode()), httpx_kwargs={"timeout": HANG}, **options)
    try:
        files = [client_module.handle_file(photo)] * 2
        path, sentence, _ = client.predict(*files, size=128, api_name="/paint")
        assert sentence.startswith("Painted in") and Path(path).stat().st_size > 1000
    finally:
        client.close()


@pytest.mark.parametrize(
    "headers, told", [({}, "SameSite=Lax"), ({"Sec-Fetch-Site": "none"}, "SameSite=None; Secure; Partitioned")]
)
def test_the_cookie_is_for_frames_where_it_is_secure(private, headers, told, no_wrong_tries):
    cookie = httpx.get(private, auth=BASIC, headers=headers, timeout=HANG).headers["set-cookie"]
    assert cookie.endswith(f"; Path=/; HttpOnly; {told}")


# --- Behind a proxy that strips a prefix ------------------------------------------------------------------------------


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes /paint/… on as /…, as it comes."""

    page, stray = "", []

    def forward(self) -> None:
        if not self.path.startswith("/paint/"):
            self.stray.append(self.path)
            return self.send_error(404)
        upstream = http.client.HTTPConnection("127.0.0.1", urlsplit(self.page).port, timeout=HANG)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            upstream.request(self.command, self.path.removeprefix("/paint"), body, dict(self.headers))
            answer = upstream.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            while chunk := answer.read1(65536):
                self.wfile.write(chunk)
        except OSError:  # the browser has gone
            pass
        finally:
            upstream.close()

    do_GET = do_POST = do_HEAD = forward  # noqa: N815

    def log_message(self, *_):
        pass


def test_everything_works_behind_a_proxy_that_strips_a_prefix(browser, site, photo):
    page = Studio(lambda _: painter)
    painter = Painter(steps=400)
    with served(page, root_path="/paint") as url:
        address = site(url, Proxy) + "/paint/"
        Proxy.stray.clear()
        profile = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        profile.set_default_timeout(1000 * HANG)
        tab = profile.new_page()
        wrong = []
        tab.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        tab.on("request", lambda asked: wrong.append(asked.url) if not _within(asked.url, address) else None)
        tab.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        tab.goto(address)
        tab.wait_for_selector("#wipe img")
        tab.wait_for_function("[...document.querySelectorAll('#wipe img')].every(image => image.naturalWidth)")
        tab.click("#paintings [data-name]")
        tab.wait_for_selector("#style img")
        tab.set_input_files("#content input[type=file]", photo)
        tab.wait_for_function("document.querySelector('#content img')?.naturalWidth")
        tab.fill("#size input[type=number]", "128")
        tab.press("#size input[type=number]", "Tab")
        tab.click("#paint")
        tab.wait_for_selector("#picture img")
        tab.click("#stop")
        tab.wait_for_selector("#sentence:has-text('Stopped')")
        painter.released()
        tab.click("#more")
        tab.wait_for_selector("#sentence:has-text('Painted in')")
        tab.wait_for_function("document.querySelector('#picture img').naturalWidth === 128")
        with tab.expect_download() as waiting:
            tab.click("#download:visible")
        assert Path(waiting.value.path()).stat().st_size > 1000
        tab.click("#film > button")
        tab.wait_for_function("document.querySelector('#reel video')?.readyState >= 1")
        tab.click("#share")
        tab.wait_for_selector("#address:has-text('Link copied')")
        link = tab.evaluate("navigator.clipboard.readText()")
        assert link.startswith(address + "?picture=")
        tab.goto(link)
        tab.wait_for_function("document.querySelector('#picture img')?.naturalWidth === 128")
        tab.wait_for_function("document.querySelector('#kept img')?.naturalWidth")
        picture_url = tab.get_attribute("meta[property='og:image']", "content")
        icon = tab.evaluate("document.querySelector('link[rel=icon]').href")
        for shown in (picture_url, icon):
            assert httpx.get(shown.replace("localhost", "127.0.0.1"), timeout=HANG).status_code == 200, shown
        profile.close()
    assert wrong == [] and Proxy.stray == []


def _within(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))
