"""nst.page.proxies: what an office's environment says about the outside does not keep the page from starting."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from nst.page import proxies

CLOSED = "127.0.0.1:9"  # nobody listens there
VARIABLES = [each for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for each in (name, name.upper())]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def environment(monkeypatch):
    """Sets variables; all of them are as before after the test."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        del os.environ[name]
    return os.environ.update


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"http_proxy": f"http://{CLOSED}"},
        {"HTTP_PROXY": CLOSED, "NO_PROXY": "intranet"},
        {"ALL_PROXY": f"http://{CLOSED}"},
        {"all_proxy": f"socks5://{CLOSED}"},
        {"ALL_PROXY": f"socks://{CLOSED}", "http_proxy": f"http://{CLOSED}"},
        {"http_proxy": "http://proxy:port"},
        {"https_proxy": "http://[::1"},
        {"http_proxy": CLOSED, "no_proxy": "*"},
    ],
    ids=str,
)
def test_this_machine_is_reached_directly(environment, address, variables):
    environment(variables)
    proxies.bypass()
    assert httpx.get(address).status_code == 204


def test_the_outside_keeps_its_proxy(environment):
    environment({"http_proxy": f"http://{CLOSED}", "no_proxy": "intranet"})
    proxies.bypass()
    assert os.environ["http_proxy"] == f"http://{CLOSED}"
    assert os.environ["no_proxy"] == "intranet,localhost,127.0.0.1,::1"


def test_a_proxy_that_is_passed_over_is_told_without_its_password(environment, caplog):
    environment({"ALL_PROXY": "socks://me:secret@proxy:1080"})
    proxies.bypass()
    assert "ALL_PROXY" not in os.environ
    assert "all_proxy" in caplog.text and "secret" not in caplog.text


def test_the_systems_proxies_become_the_environments(environment, monkeypatch):
    monkeypatch.setattr(proxies, "getproxies", lambda: {"http": f"http://{CLOSED}"})
    proxies.bypass()
    assert os.environ["http_proxy"] == f"http://{CLOSED}" and "127.0.0.1" in os.environ["no_proxy"]


def test_without_proxies_nothing_changes(environment, monkeypatch):
    monkeypatch.setattr(proxies, "getproxies", dict)
    proxies.bypass()
    assert not set(VARIABLES) & set(os.environ)


def test_the_address_that_the_page_is_served_at_is_this_machine(environment, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_NAME", "192.168.1.5")
    environment({"http_proxy": CLOSED})
    proxies.bypass()
    assert os.environ["no_proxy"].endswith(",192.168.1.5")
