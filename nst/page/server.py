"""The page on the network: served safely, with health checks, and warmed before visitors come."""

import importlib.util
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nst import images
from nst.deploy import doctor
from nst.page.layout import pictures_css
from nst.page.studio import QUEUE_SIZE, Studio
from nst.page.theme import theme

log = logging.getLogger(__name__)


def _health(studio: Studio) -> list[Route]:
    """Whether the server is alive, and whether it is ready for visitors, for the programs that look after it."""

    async def alive(_: Request) -> JSONResponse:  # async: no thread has to be free for it
        return JSONResponse({"alive": True})

    async def ready(_: Request) -> JSONResponse:
        if reason := studio.unready:
            return JSONResponse({"ready": False, "reason": reason}, status_code=503)
        return JSONResponse({"ready": True})

    return [Route("/healthz", alive), Route("/readyz", ready)]


def serve(page: gr.Blocks, studio: Studio, **options: Any) -> None:
    """Put the page on the network, fit for strangers: bounded uploads and queue, nothing recorded, no stack traces."""
    beside = Path(__file__).parent
    page.queue(max_size=2 * QUEUE_SIZE).launch(
        theme=theme(),
        css=pictures_css(),
        css_paths=beside / "page.css",
        head=f"<script>{(beside / 'page.js').read_text(encoding='utf-8')}</script>",
        max_file_size=images.MAX_BYTES,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=importlib.util.find_spec("mcp") is not None,  # with `pip install .[mcp]`, language models paint, too
        footer_links=["api"],
        app_kwargs={"routes": _health(studio)},
        **options,
    )


def _get_ready(studio: Studio) -> None:
    """Load, warm, and leave in the log what there is to know about this machine."""
    for findings in (doctor.look_around(), doctor.try_out(studio)):
        try:
            for finding in findings:
                log.info("%s: %s%s", finding.name, finding.fact, f" ({finding.advice})" if finding.advice else "")
        except Exception:  # no reason to leave visitors waiting for the network
            log.exception("Not everything could be looked at")


def start(page: gr.Blocks, studio: Studio) -> None:
    """Serve until interrupted, with a browser window on a desktop; the network is loaded meanwhile."""
    logging.basicConfig(level=logging.INFO)
    threading.Thread(target=_get_ready, args=(studio,), daemon=True).start()
    desktop = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    serve(page, studio, inbrowser=desktop)  # elsewhere it might be a browser in this very terminal
