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
    parts = (
        (registry.SUITES, suite.family),
        *([(registry.METHODS, method)] if method else []),
        (registry.MODELS, model.partition(":")[0]),
        (registry.QUANTIZERS, quantizer),
        (registry.QUANTIZERS, registry.load(registry.QUANTIZERS, quantizer).edge_quantizer or quantizer),
    )
    files = [file for kind, name in dict.fromkeys(parts) if (file := registry.plugin_file(kind, name))]
    return files + code_files(model)
