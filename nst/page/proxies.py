"""Proxies that are meant for the outside must not stand between Gradio and this machine."""

import logging
import os
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies

LOCAL = "localhost", "127.0.0.1", "::1"

log = logging.getLogger(__name__)


def bypass() -> None:
    """Change the environment so that httpx reaches this machine directly; before Gradio is imported.

    Gradio makes httpx clients when it is imported, which fails for proxies that httpx does not know, and requests its
    own address when it starts.  Proxies for the outside stay, also those of the settings of Windows and macOS, which
    count only where the environment names none.
    """
    proxies = getproxies()
    for scheme in {"http", "https", "all"} & proxies.keys():
        name = f"{scheme}_proxy"
        if _is_known(proxies[scheme]):
            os.environ.setdefault(name, proxies[scheme])
            continue
        for variable in (name, name.upper()):
            os.environ.pop(variable, None)
        log.warning("The page does without %s: its HTTP client knows http, https and, with socksio, socks5.", name)
    if proxies and proxies.get("no") != "*":
        hosts = proxies.get("no"), *LOCAL, os.environ.get("GRADIO_SERVER_NAME", "").strip("[]")
        os.environ["no_proxy"] = ",".join(filter(None, hosts))


def _is_known(proxy: str) -> bool:
    try:
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        _ = address.port  # raises unless it is a number
    except ValueError:
        return False
    socks = {"socks5", "socks5h"} if find_spec("socksio") else set()
    return bool(address.hostname) and address.scheme in {"http", "https"} | socks
