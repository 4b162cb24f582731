"""The cost of a network from those of its layers, by hand."""

from flatqat.quant.layer_cost import Call, LayerCost, NetworkCost, activation_bytes, packed


def test_the_peak_is_that_of_the_largest_call_with_outputs_at_the_next_layers_bits():
    calls = (Call(place=0, inputs=10, outputs=100), Call(place=2, inputs=100, outputs=3))
    layers = {
        "a": LayerCost(macs=0, weights=0, weight_bits=4, act_bits=4, calls=calls),
        "b": LayerCost(
            macs=0, weights=0, weight_bits=2, act_bits=2, calls=(Call(place=1, inputs=8, outputs=9),)
        ),
        "unused": LayerCost(macs=0, weights=5),
    }
    assert activation_bytes(layers) == {"a": max(5 + 25, 50 + 12), "b": 2 + 5, "unused": 0}
    total = NetworkCost(image=(1, 1), layers=layers, functional_macs=0, other_values=0).total()
    assert (total.activation_bytes, total.weight_bytes, total.macs_by_bits) == (62, 20, {})
    assert [packed(n, 3) for n in (0, 1, 2, 3, 8, 9)] == [0, 1, 1, 2, 3, 4]
