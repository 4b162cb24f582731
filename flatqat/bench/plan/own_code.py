"""The files of code that a user has added to a cell: editing one changes its numbers."""

import hashlib
from pathlib import Path

from flatqat import registry
from flatqat.bench.plan.networks import code_files
from flatqat.suite import Suite


def code_hash(suite: Suite, method: str, model: str, quantizer: str) -> str | None:
    """Return a hash of the plugin files that a cell uses, since editing one changes its numbers."""
    files = own_files(suite, model, quantizer, method)
    return hashlib.sha256(b"".join(map(registry.content, files))).hexdigest()[:12] if files else None


def own_files(suite: Suite, model: str, quantizer: str, method: str | None = None) -> list[Path]:
    """Return the user's own files of code that suite, model and quantizer, and a method, come from."""
    edge = registry.load(registry.QUANTIZERS, quantizer).edge_quantizer or quantizer
    parts = (*parts_of(suite.family, model, quantizer, method), (registry.QUANTIZERS, edge))
    files = [file for kind, name in dict.fromkeys(parts) if (file := registry.plugin_file(kind, name))]
    return files + code_files(model)


def parts_of(
    family: str, model: str, quantizer: str, method: str | None = None
) -> list[tuple[registry.Kind, str]]:
    """Return the plugins that a cell names, by kind; of its model that is the source."""
    of_method = [(registry.METHODS, method)] if method else []
    source = model.partition(":")[0]
    return [
        (registry.SUITES, family),
        *of_method,
        (registry.MODELS, source),
        (registry.QUANTIZERS, quantizer),
    ]
