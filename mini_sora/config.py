"""Dataclasses as the one place of every setting: checked when made, read from JSON and from flags.

A config is a frozen dataclass beside its consumer, whose fields may be configs themselves. A flag
is a path of field names: --dit.width 192 sets config.dit.width.
"""

import argparse
import dataclasses
import difflib
import json
import typing


class UserError(Exception):
    """A mistake in what was asked; its text is one sentence that names the thing and the way out."""


def require(condition, message):
    """Raise UserError with this message unless the condition holds."""
    if not condition:
        raise UserError(message)


def check_numbers(config, low=0, high=1e9, **limits):
    """Raise UserError unless every number of a config lies in its limits.

    limits: field=(low, high) where a field has its own; the others share low and high.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not isinstance(number, bool):
                least, most = limits.get(field.name, (low, high))
                fine = least <= number <= most  # which not-a-number never is
                require(fine, f"{field.name} is {number}; it must be a number from {least:g} to {most:g}")


def check_heads(width, heads):
    """Raise UserError unless heads share a width, and each has a pair of numbers for each of three axes."""
    fine = width % heads == 0 and width // heads % 2 == 0 and width // heads >= 6
    require(fine, f"heads is {heads}; width ({width}) must be an even multiple of it, 6 times or more")


def to_dict(config):
    """A config as plain dictionaries, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(cls, values, where=""):
    """The inverse of to_dict; raises UserError for unknown keys and values of the wrong type."""
    require(isinstance(values, dict), f"the config {where or cls.__name__} is not a table of settings")
    types = typing.get_type_hints(cls)
    made = {}
    for key, value in values.items():
        require(key in types, f"the config has an unknown setting {where + key!r}{closest(key, types)}")
        if dataclasses.is_dataclass(types[key]):
            made[key] = from_dict(types[key], value, f"{where}{key}.")
        else:
            made[key] = _convert(types[key], value, where + key)
    return cls(**made)


def _convert(kind, value, name):
    if isinstance(value, list | tuple):
        inner = typing.get_args(kind)
        if inner[-1:] == (...,):  # any number of one type
            inner = inner[:1] * len(value)
        fine = typing.get_args(kind) and len(inner) == len(value)
        require(fine, f"{name} takes {len(inner) or 'no'} values, not {len(value)}")
        return tuple(_convert(k, v, name) for k, v in zip(inner, value, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
    require(type(value) is kind, f"{name} is {value!r}; it must be of type {kind.__name__}")
    return value


def difference(a, b, where=""):
    """The settings in which two to_dict tables differ, as sentences."""
    found = []
    for key in sorted({*a, *b}):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += difference(left, right, f"{where}{key}.")
        elif json.dumps(left) != json.dumps(right):
            found.append(f"{where}{key}: {left} against {right}")
    return found


def closest(name, names):
    """A hint at the name that was perhaps meant, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, and name the closest known flag or word."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_args(self, args=None, namespace=None):
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = self
            for action in self._actions:
                if isinstance(action, argparse._SubParsersAction) and getattr(found, action.dest, None):
                    parser = action.choices[getattr(found, action.dest)]
            flags = list(parser._option_string_actions)
            raise UserError(f"unknown argument {unknown[0]!r}{closest(unknown[0].split('=')[0], flags)}")
        return found

    def error(self, message):
        raise UserError(message)


def _separator(kind):
    """What joins the parts of a tuple on the command line: 32x56 is a size, 24,32,48 a list."""
    return "," if typing.get_args(kind)[-1] is ... else "x"


def add_flags(parser, config, preset, where=""):
    """Add a flag for every setting of a preset's config that has none yet, its value shown as the default."""
    group = parser.add_argument_group(f"settings of {where.rstrip('.')}" if where else "settings")
    kinds = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), where + field.name
        if dataclasses.is_dataclass(value):
            add_flags(parser, value, preset, name + ".")
        elif f"--{name}" not in parser._option_string_actions:
            shown = value
            if isinstance(value, tuple):
                shown = _separator(kinds[field.name]).join(map(str, value))
            group.add_argument(f"--{name}", metavar="X", help=f"in preset {preset}: {shown}")


def with_flags(config, flags):
    """A copy of the config in which the given flags, {path: text}, replace settings."""
    values = to_dict(config)
    for path, text in flags.items():
        table, kind = values, type(config)
        *parents, last = path.split(".")
        for part in parents:
            table, kind = table[part], typing.get_type_hints(kind)[part]
        table[last] = _read(text, typing.get_type_hints(kind)[last], path)
    return from_dict(type(config), values)


def reader(kind, name):
    """What turns the text after --name into a value of a type. Raises UserError."""
    return lambda text: _read(text, kind, name)


def _read(text, kind, name):
    """Text from the command line -> a value of a type."""
    if inner := typing.get_args(kind):
        parts = text.lower().split(_separator(kind))
        if inner[-1] is ...:
            parts = [part for part in parts if part]
            inner = inner[:1] * len(parts)
        require(len(parts) == len(inner), f"--{name} takes {len(inner)} numbers joined by x, not {text!r}")
        return tuple(_read(part, k, name) for part, k in zip(parts, inner, strict=True))
    if kind is bool:
        require(text in ("true", "false"), f"--{name} is true or false, not {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"--{name} takes {what}, not {text!r}") from None
