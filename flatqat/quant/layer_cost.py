"""What a network costs for one image: a function of shapes and bits alone, not of any machine.

MACs are the products of convolutions and linear layers, padding included, also of their weights without a
call of the layer, and of functional products of activations (attention). Sums, pooling, normalization and
activation functions are not counted. A MAC of a weight of b_w bits and an activation of b_a bits is b_w · b_a
bit operations (BOPs), as in Bayesian Bits (van Baalen et al., 2020); UNIQ (Baskin et al., 2018) adds those of
the accumulator, b_w + b_a + log2(fan-in) a MAC. Floating point counts as 32 bits, and so do functional
products, which have no quantizer.

At its peak, activation memory holds the input and the output of one layer (as for networks run layer by layer
in MCUNet; Lin et al., 2020), each at the bits at which its consumer reads it: the input at those of the
layer, the output at those of the layer that is called next, or at 32 after the last one. This is what a chain
of layers needs. Tensors that wait for a later sum or concatenation are not counted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from flatqat.spec import Cost

FLOAT_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a layer: its place among all calls, and how many values go in and come out.

    `direct` is one that uses its weight without calling the layer, so that no quantizer sees the input.
    """

    place: int
    inputs: int
    outputs: int
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one layer costs for one image. For other bits, `dataclasses.replace` the bits.

    Attributes:
        macs: Multiply-accumulate operations with its weight.
        weights: How many weights it has; 0 if it shares those of an earlier layer.
        weight_bits: Bits of a weight; 32 in floating point.
        act_bits: Bits of an input value; 32 in floating point.
        calls: Its calls, in order.
        direct_macs: Those of its MACs whose input is in floating point, since they use its weight without
            calling the layer.
    """

    macs: int
    weights: int
    weight_bits: int = FLOAT_BITS
    act_bits: int = FLOAT_BITS
    calls: tuple[Call, ...] = ()
    direct_macs: int = 0

    @property
    def macs_by_act_bits(self) -> dict[int, int]:
        """Its MACs by the bits of their input."""
        both = Counter({self.act_bits: self.macs - self.direct_macs})
        both[FLOAT_BITS] += self.direct_macs
        return both

    @property
    def bops(self) -> int:
        """Bit operations: MACs times the bits of both factors."""
        return self.weight_bits * sum(bits * macs for bits, macs in self.macs_by_act_bits.items())

    @property
    def weight_bytes(self) -> int:
        """The bytes of its packed weights, the last one filled up."""
        return packed(self.weights, self.weight_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """The costs of a network's layers, and of what is in none of them.

    Attributes:
        image: Height and width of the image, in pixels.
        layers: The cost of each quantizable layer by name.
        functional_macs: MACs of products of matrices that no layer's weight is in.
        other_values: How many parameters are no weights of layers, each a float32.
    """

    image: tuple[int, int]
    layers: Mapping[str, LayerCost]
    functional_macs: int
    other_values: int

    def total(self) -> Cost:
        """Return the sums over layers, and the peak of activation memory."""
        layers = self.layers.values()
        by_bits: Counter[str] = Counter()
        for layer in layers:
            for act_bits, macs in layer.macs_by_act_bits.items():
                by_bits[f"w{layer.weight_bits}a{act_bits}"] += macs
        by_bits[f"w{FLOAT_BITS}a{FLOAT_BITS}"] += self.functional_macs
        return Cost(
            image=self.image,
            macs=by_bits.total(),
            bops=sum(layer.bops for layer in layers) + self.functional_macs * FLOAT_BITS**2,
            weight_bytes=sum(layer.weight_bytes for layer in layers),
            other_bytes=self.other_values * FLOAT_BITS // 8,
            activation_bytes=max(activation_bytes(self.layers).values(), default=0),
            macs_by_bits={bits: by_bits[bits] for bits in sorted(by_bits) if by_bits[bits]},
        )


def activation_bytes(layers: Mapping[str, LayerCost]) -> dict[str, int]:
    """Return the bytes of input and output together by layer, in its largest call; 0 without a call."""
    calls = sorted(
        (
            (call, FLOAT_BITS if call.direct else layer.act_bits, name)
            for name, layer in layers.items()
            for call in layer.calls
        ),
        key=lambda each: each[0].place,
    )
    after = [bits for _, bits, _ in calls[1:]] + [FLOAT_BITS]
    largest = dict.fromkeys(layers, 0)
    for (call, bits, name), next_bits in zip(calls, after, strict=bool(calls)):
        held = packed(call.inputs, bits) + packed(call.outputs, next_bits)
        largest[name] = max(largest[name], held)
    return largest


def packed(values: int, bits: int) -> int:
    """Return the bytes of `values` numbers of `bits` bits each, the last byte filled up."""
    return -(-values * bits // 8)
