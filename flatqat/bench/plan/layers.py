"""One text for one meaning: patterns of layers without what changes nothing in a network.

torch loads inside the function, because plans are imported by commands that never compute.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flatqat.spec import QuantSpec


def simplest(spec: QuantSpec, names: Sequence[str]) -> QuantSpec:
    """Return the simplest spec that gives every layer in `names` the same bits: settings decide an identity.

    Raises UsageError if a pattern of the spec matches no layer.
    """
    from flatqat.quant.apply import by_layer

    def meaning(candidate: QuantSpec) -> list[tuple[object, ...]]:
        layers = by_layer(names, candidate).values()
        return [(layer.weight_bits, layer.act_bits, layer.quantizer) for layer in layers]

    meant, simple = meaning(spec), spec
    while found := next((s for s in _simpler(simple) if meaning(s) == meant), None):
        simple = found
    return simple


def _simpler(spec: QuantSpec) -> Iterator[QuantSpec]:
    """Yield the specs that are one step simpler: the default layers kept, or fewer or sorted patterns.

    Of layers that are kept, the first and the last one are called so.
    """
    pairs, keep = spec.layer_bits, spec.keep
    if keep != (ends := QuantSpec().keep):
        yield replace(spec, keep=ends)
        for at, pattern in enumerate(keep):
            others = keep[:at] + keep[at + 1 :]
            yield replace(spec, keep=others)
            for end in ends if pattern not in ends else ():
                yield replace(spec, keep=tuple(sorted((*others, end))))
    for at in range(len(pairs)):
        yield replace(spec, layer_bits=pairs[:at] + pairs[at + 1 :])
    if pairs != (ordered := tuple(sorted(pairs))):
        yield replace(spec, layer_bits=ordered)
