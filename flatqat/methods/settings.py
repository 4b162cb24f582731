"""Checks of a rule's settings."""

from typing import Any

from flatqat.errors import UsageError


def check_range(config: Any, name: str, low: float, high: float | None = None) -> None:
    """Raise UsageError, naming the rule after its file, unless the setting lies in [low, high]."""
    value = getattr(config, name)
    if value < low or (high is not None and value > high):
        rule = type(config).__module__.rpartition(".")[2]
        wanted = f"at least {low}" if high is None else f"{low} to {high}"
        raise UsageError(f"{rule}.{name}: expected {wanted}, got {value}")
