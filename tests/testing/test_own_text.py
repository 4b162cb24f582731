"""Each built-in method and quantizer describes itself: in listings, and in `help(LSQ)`."""

import pytest

from flatqat import registry

BUILT_IN = [(kind, name) for kind in (registry.METHODS, registry.QUANTIZERS) for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), BUILT_IN, ids=[name for _, name in BUILT_IN])
def test_a_class_has_a_docstring_of_its_own_and_a_summary_of_one_line(kind, name):
    assert vars(registry.load(kind, name)).get("__doc__")
    summary = dict(registry.summaries(kind))[name]
    assert summary.endswith(".")
    assert len(summary) <= 110
