"""The page in the visitor's language: English in the code, translations of its sentences in languages/*.json.

Gradio translates what is fixed when the page is built: `layout.translations` gives it the tables.  The handlers
translate what they say with `tr`.  Standard library only.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

FOLDER = Path(__file__).with_name("languages")
TABLES: dict[str, dict[str, str]] = {"en": {}} | {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}  # by language: from English sentences to that language's; placeholders in braces stay

current: ContextVar[str] = ContextVar("language", default="en")  # of the visitor whose event is being handled


def tr(sentence: str, **values: object) -> str:
    """The sentence in the current language, with its placeholders filled in; in English if there is no translation."""
    sentence = TABLES[current.get()].get(sentence, sentence)
    return sentence.format(**values) if values else sentence


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Translate to one of our languages."""
    token = current.set(language)
    try:
        yield
    finally:
        current.reset(token)


def choose(accepted: str | None) -> str:
    """The first of our languages in the order of an Accept-Language header; English if none is there."""
    wishes = []
    for wish in (accepted or "").lower().split(","):
        tag, _, quality = wish.partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", quality)
        if not quality or (weight and float(weight[1])):
            wishes.append((float(weight[1]) if weight else 1.0, tag.strip().partition("-")[0]))
    ours = {language.partition("-")[0]: language for language in TABLES}
    wishes.sort(key=lambda wish: -wish[0])
    return next((ours[tag] for _, tag in wishes if tag in ours), "en")
