"""Flags made from `Settings`: a flag for each field, with its default and range."""

import argparse
from dataclasses import MISSING, Field, fields, replace
from typing import Any, get_args, get_origin

from nst.settings import Settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    group = parser.add_argument_group("settings")
    for knob in fields(Settings):
        # Neither `type` nor `choices`: Settings validates the values, in its own words.
        name, form, words = flag(knob), metavar(knob), help_text(knob)
        group.add_argument(name, dest=knob.name, default=argparse.SUPPRESS, metavar=form, help=words)


def flag(knob: Field) -> str:
    return "--" + knob.name.replace("_", "-")


def metavar(knob: Field) -> str:
    """The form of a flag's value in `--help`."""
    if knob.metadata["choices"]:
        return "{" + ",".join(knob.metadata["choices"]) + "}"
    return {int: "N", float: "X", tuple: "X,X,...", dict: "LAYER=X,..."}.get(get_origin(knob.type) or knob.type, "TEXT")


def help_text(knob: Field) -> str:
    default = knob.default if knob.default_factory is MISSING else knob.default_factory()
    notes = [f"default: {text}"] if (text := format_value(default)) else []
    if knob.type is not str:
        notes.append(f"{knob.metadata['low']:.10g} to {knob.metadata['high']:.10g}")
    return knob.metadata["help"].replace("%", "%%") + (f" ({'; '.join(notes)})" if notes else "")


def format_value(value: Any) -> str:
    """A setting's value as its flag takes it."""
    if isinstance(value, dict):
        return ",".join(f"{layer}={str(weight).removesuffix('.0')}" for layer, weight in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def settings(options: argparse.Namespace, defaults: Settings = Settings()) -> Settings:
    """The given settings, and the defaults for all others.  Raises ValueError, as Settings does."""
    given = [knob for knob in fields(Settings) if knob.name in options]
    return replace(defaults, **{knob.name: _read(knob.type, getattr(options, knob.name)) for knob in given})


def _read(kind: Any, text: str) -> Any:
    """Convert a flag's value to its setting's type; what cannot be converted stays text, for Settings to refuse."""
    if get_origin(kind) in (tuple, dict):
        items = [item.strip() for item in text.split(",") if item.strip()]
        if get_origin(kind) is tuple:
            return tuple(_read(get_args(kind)[0], item) for item in items)
        pairs = [item.partition("=") for item in items]
        return {layer.strip(): _read(get_args(kind)[1], weight) if equals else 1.0 for layer, equals, weight in pairs}
    try:
        return kind(text)
    except ValueError:
        return text
