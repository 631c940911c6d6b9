"""The log of a page: plain lines, or with NST_LOG=json a JSON object a line."""

import json
import logging
import os
import sys
from datetime import UTC, datetime

import uvicorn.config


class Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, where a record has them, run and trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if run := getattr(record, "run", None):
            line["run"] = run
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def is_json() -> bool:
    """Whether NST_LOG asks for JSON; ends the program with a sentence for what it cannot be."""
    choice = os.environ.get("NST_LOG") or "text"
    if choice not in ("json", "text"):
        sys.exit(f"NST_LOG: {choice!r} should be json or text.")
    return choice == "json"


def begin() -> None:
    """Log to standard error from now on."""
    if is_json():
        handler = logging.StreamHandler()
        handler.setFormatter(Json())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        uvicorn.config.LOGGING_CONFIG["formatters"]["default"] = {"()": Json}
        logging.captureWarnings(True)
    else:
        logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the addresses of pictures that programs give
