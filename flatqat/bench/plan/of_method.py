"""What a plan asks of a method, whose answers are checked: its ancestors, its steps and its passes."""

from dataclasses import replace
from typing import Any

from flatqat import registry
from flatqat.blame import asked
from flatqat.errors import PluginError
from flatqat.kinds import defined_at
from flatqat.spec import QuantSpec, Recipe


def owners(method: str) -> set[str]:
    """Return whose settings decide a cell of a method: the recipe's, its own and those of its ancestors.

    Raises PluginError if it is an ancestor of its own.
    """
    found: list[str] = []
    name = method
    while name:
        if name in found:
            where = defined_at(registry.load(registry.METHODS, name))
            got = f"{' from '.join([*found, name])}{where}"
            raise PluginError(
                f"method {name}: expected a parent that starts from another, got {got}; name one"
            )
        found.append(name)
        name = registry.load(registry.METHODS, name).parent
    return {"recipe", *found}


def nothing_to_do(name: str, spec: QuantSpec) -> str:
    """Return why a method has nothing of its own to do at some bits; empty if it has."""
    method = registry.load(registry.METHODS, name)
    if spec.is_fp or spec.rounds_weights or not method.needs_rounded_weights:
        return ""
    return f"{name} only changes how weights are rounded, and {spec} rounds none; use bits such as 4 or w4a8"


def passes(name: str, config: Any) -> int:
    """Return the forward and backward passes of a step. Raises PluginError if a plugin names no number."""
    return _number(name, 1, "passes_with", config)


def step_multiplier(name: str, config: Any, recipe: Recipe, budget: int) -> int:
    """Return how often a method's steps are repeated, so that a step of the recipe costs `budget` passes.

    The reference gets no more steps, since every row is compared with it; nor does a method whose number of
    steps does not come from the recipe. Raises PluginError if a plugin's own numbers are none.
    """
    method = registry.load(registry.METHODS, name)
    longer = replace(recipe, steps=budget * recipe.steps)
    steps = [_number(name, 0, "steps", each) for each in (longer, recipe)]
    of_step = passes(name, config)
    multiplier = 1 if method.reference or steps[0] == steps[1] else max(1, budget // of_step)
    _number(name, 0, "images_to_begin", replace(recipe, steps=multiplier * recipe.steps), config)
    return multiplier


def _number(name: str, least: int, what: str, *args: Any) -> int:
    hook, expected = getattr(registry.load(registry.METHODS, name), what), f"a whole number from {what}"
    number = int(asked(registry.METHODS, name, expected, int, hook, *args))
    if number < least:
        got = f"{number}{defined_at(hook)}"
        raise PluginError(f"method {name}: expected {expected}, at least {least}, got {got}; fix the plugin")
    return number
