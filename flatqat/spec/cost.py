"""What a network costs for one image, as a frozen value. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flatqat.errors import UsageError
from flatqat.spec.reading import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost(Stored):
    """What a network costs for one image; `flatqat.quant.layer_cost` says how each number is counted.

    Attributes:
        image: Height and width of the image, in pixels.
        macs: Multiply-accumulate operations of layers and of functional products.
        bops: Bit operations: the sum over MACs of weight bits times activation bits.
        weight_bytes: The weights of all layers, packed at their bits.
        other_bytes: All other parameters in float32: biases, BatchNorm, step sizes, embeddings.
        activation_bytes: The largest input and output of a layer together, at the bits of their consumers.
        macs_by_bits: The MACs by the bits of weights and activations, such as `w4a8`; `w32a32` is floating
            point.
    """

    image: tuple[int, int]
    macs: int
    bops: int
    weight_bytes: int
    other_bytes: int
    activation_bytes: int
    macs_by_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (*self.image, self.macs, self.bops, self.weight_bytes, self.other_bytes)
        if min(*numbers, self.activation_bytes, *self.macs_by_bits.values()) < 0:
            raise UsageError("expected numbers of at least 0, got a negative one")

    @property
    def size_bytes(self) -> int:
        """The bytes of all parameters: packed weights, and the others in float32."""
        return self.weight_bytes + self.other_bytes
