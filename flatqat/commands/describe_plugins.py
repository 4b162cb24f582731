"""Descriptions of methods, quantizers and recipes, as lines of text made from their own docstrings."""

import inspect
import sys
import textwrap
from contextlib import suppress
from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

from flatqat import registry
from flatqat.bench.plan.of_method import passes
from flatqat.errors import UsageError, choose
from flatqat.methods.base import Method
from flatqat.methods.settings import kind_of, ranges
from flatqat.spec import Recipe
from flatqat.spec.json_schema import attributes_of
from flatqat.suite import Suite

WIDTH = 80


def describe_method(name: str) -> str:
    """Return the lines of `flatqat methods show`. Raises UsageError if there is no such method."""
    method = registry.load(registry.METHODS, name)
    parent = f"the final weights of {method.parent}" if method.parent else "random weights"
    lines = [
        f"{name} version {method.version}",
        f"starts    from {parent}",
        f"network   {'quantized' if method.quantizes else 'in full precision'}",
        f"compute   {_passes(name, method)}",
    ]
    settings = _settings(name, method.Config)
    return "\n".join([*lines, *settings, "", *_about(method)])


def describe_quantizer(name: str) -> str:
    """Return the lines of `flatqat quantizers show`. Raises UsageError if there is no such quantizer."""
    quantizer = registry.load(registry.QUANTIZERS, name)
    learns = " and ".join(f"{role}s" for role in quantizer.learning_roles) if quantizer.learns_scale else ""
    edge = quantizer.edge_quantizer or name
    backward = "of its own" if quantizer.custom_backward else "the straight-through estimator"
    lines = [
        f"{name} version {quantizer.version}",
        f"weights   {'a grid per output channel' if quantizer.per_channel else 'one grid per tensor'}",
        f"step size {f'learned for {learns}' if learns else 'set by calibration'}",
        f"gradient  {backward}",
        f"8 bits    of kept layers by {edge}",
        f"use       --bits 4@{name}",
    ]
    return "\n".join([*lines, "", *_about(quantizer)])


def describe_recipe(name: str, suite: Suite) -> str:
    """Return the lines of `flatqat recipes show`. Raises UsageError if the suite has no such recipe."""
    recipe = suite.recipes[choose(f"recipe of {suite.name}", name, suite.recipes)]
    values = {field.name: str(getattr(recipe, field.name)) for field in fields(Recipe)}
    names, widest = max(map(len, values)), max(map(len, values.values()))
    meanings = attributes_of(Recipe)
    default = " (default)" if name == suite.default_recipe else ""
    lines = [f"{name} of {suite.name}{default}; change a value with --set recipe.NAME=VALUE"]
    for field, value in values.items():
        head = f"{field:<{names}}  {value:>{widest}}  "
        lines += textwrap.wrap(meanings[field], WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join(lines)


def _settings(name: str, config: Any) -> list[str]:
    """Return a line for each setting of a method: its default, and what it may be."""
    allowed, choices_of, hints, defaults = ranges(config), _choices(config), get_type_hints(config), config()
    lines = []
    for field in (field for field in fields(config) if field.init):
        among, value, hint = allowed.get(field.name), getattr(defaults, field.name), hints[field.name]
        notes = ["true", "false"] if kind_of(hint) is bool else list(choices_of[field.name])
        if among:
            notes.append(f"at least {among.low}" if among.high is None else f"{among.low} to {among.high}")
        notes += ["or none"] if NoneType in get_args(hint) else []
        note = ", ".join(notes)
        default = str(value).lower() if value is None or isinstance(value, bool) else value
        lines.append(f"--set     {name}.{field.name}={default}" + (f"   ({note})" if note else ""))
    return lines


def _choices(config: Any) -> dict[str, list[str]]:
    """Return by setting the words that it may be; none where it may be anything."""
    hints = get_type_hints(config)
    return {field.name: [*get_args(kind_of(hints[field.name]))] for field in fields(config)}


def _passes(name: str, method: Any) -> str:
    """Return what a step costs, and with which choices, each alone, it costs something else.

    A method that counts its passes by its settings may do so by numbers, too, which are not tried.
    """
    if not method.trains:
        return "no training step is needed"
    usual = passes(name, method.Config())
    text = f"{usual} forward and backward pass{'es' * (usual > 1)} a step"
    own, plain = (inspect.getattr_static(each, "passes_with") for each in (method, Method))
    if own is plain:
        return text
    others = []
    for setting, choices in _choices(method.Config).items():
        for choice in choices:
            with suppress(UsageError):  # a choice that needs another one
                number = passes(name, method.Config(**{setting: choice}))
                others += [f", {number} with {setting}={choice}"] if number != usual else []
    return f"{text} at the defaults{''.join(others) or '; settings change that'}"


def _about(plugin: Any) -> list[str]:
    """Return the docstring of the file that a plugin is in, without its margin, or else the plugin's own."""
    module = sys.modules.get(plugin.__module__)
    return inspect.cleandoc(getattr(module, "__doc__", "") or plugin.__doc__ or "").splitlines()
