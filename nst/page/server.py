"""Serves the page, with safe options and health checks, and warms up before the first visitor."""

import atexit
import importlib.util
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nst import catalogue, images
from nst.deploy import doctor
from nst.page import fairness, guard, logs, password, preview, sweeper
from nst.page.layout import pictures_css, translations
from nst.page.programs import cannot_save, wrong_arguments
from nst.page.studio import Studio
from nst.page.sweeper import SESSIONS, Sweeper
from nst.page.theme import theme

PATIENCE = 3.0  # seconds that a run gets to end with a picture, before the server ends
FETCH = 1.0  # seconds that the browser gets to fetch it

log = logging.getLogger(__name__)


def _health(studio: Studio) -> list[Route]:
    """Liveness and readiness checks for load balancers and process managers, and the metrics."""

    async def alive(_: Request) -> JSONResponse:  # async, so that it needs no free thread
        return JSONResponse({"alive": True})

    async def ready(_: Request) -> JSONResponse:
        if reason := studio.unready:
            return JSONResponse({"ready": False, "reason": reason}, status_code=503)
        return JSONResponse({"ready": True})

    async def metrics(request: Request) -> Response:
        return await studio.metrics.answer(request)

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)]


def serve(page: gr.Blocks, studio: Studio, **options: Any) -> None:
    """Launch the page, safe for the public: limited uploads and queue, no recordings, no stack traces."""
    folder = Path(__file__).parent
    script = (folder / "page.js").read_text(encoding="utf-8")
    if "SPACE_ID" in os.environ:  # else uvicorn believes only this machine on whom it forwards for
        os.environ.setdefault("FORWARDED_ALLOW_IPS", fairness.TRUSTED)
    page.queue()
    fairness.guard(page, studio)
    page.launch(
        theme=theme(),
        css=pictures_css(),
        i18n=translations(),
        css_paths=folder / "page.css",
        head=f"<script>{script}</script>",
        max_file_size=images.MAX_BYTES,
        state_session_capacity=SESSIONS,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=importlib.util.find_spec("mcp") is not None,  # `pip install .[mcp]` adds a tool for language models
        footer_links=["api"],
        favicon_path=preview.ICON,
        app_kwargs={
            "routes": _health(studio) + preview.files(),
            "middleware": [Middleware(preview.Preview, script=script), Middleware(guard.Guard, told=password.login())],
            "exception_handlers": {TypeError: wrong_arguments, OSError: cannot_save},
            "lifespan": Sweeper(studio.files).lifespan(page),
        },
        **options,
    )


def _warm_up(studio: Studio) -> None:
    """Log what the doctor finds on this machine, load and warm up the network, then complete the examples."""
    for findings in (doctor.check_machine(), doctor.check_painting(studio)):
        try:
            for finding in findings:
                log.info("%s: %s%s", finding.name, finding.fact, f" ({finding.advice})" if finding.advice else "")
        except Exception:  # a failed check must not keep the network from loading
            log.exception("A check of this machine failed")
    catalogue.complete()
    if not studio.unready:
        studio.paint_thumbnails()


def _end(page: gr.Blocks, studio: Studio, *_: Any) -> None:
    """On a signal to end: end the run under way with a picture that its visitor can see, then stop serving."""
    _on_signals(signal.default_int_handler)  # the next one ends at once
    if not page.is_running:
        raise KeyboardInterrupt
    began = time.monotonic()
    while any(page._queue.active_jobs) and time.monotonic() - began < PATIENCE:
        studio.end()
        time.sleep(0.05)
    time.sleep(FETCH * studio.ending)
    page.close(verbose=False)


def _on_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def start(page: gr.Blocks, studio: Studio) -> None:
    """Serve until interrupted; open a browser on a desktop, and load the network in the background."""
    guard.check_environment()
    password.check_environment()
    sweeper.limit()
    logs.begin()
    warming = threading.Thread(target=_warm_up, args=(studio,), daemon=True)
    warming.start()
    desktop = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    _on_signals(partial(_end, page, studio))
    try:
        # On a server it could open a text browser in this terminal.
        serve(page, studio, inbrowser=desktop, quiet=logs.is_json())
    except OSError as error:  # the port is taken, or the address is not this machine's
        sys.exit(f"The page cannot be served where GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say: {error}")
    if warming.is_alive():  # inside TensorFlow, a thread that Python ends with itself aborts the process
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(0)
