"""The control is the cell with every sum off by at most one unit in the last place, and nothing else."""

import torch

from flatqat.bench.deploy.codes import CodeComparison, codes_of_cell
from flatqat.bench.deploy.control import control, rounded_otherwise
from flatqat.models.base import build
from flatqat.quant.apply import calibrate, quantizable, quantize_
from flatqat.spec import QuantSpec

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_layer_is_off_by_at_most_one_unit_and_the_same_each_time():
    model = build("tiny", classes=4, seed=0).eval()
    first = next(iter(quantizable(model.net).values()))
    seen = []
    hook = first.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.inference_mode():
        exact = first(IMAGES)
        with rounded_otherwise(model):
            other = first(IMAGES)
        runs = [control(model)(IMAGES) for _ in range(2)]
        after = first(IMAGES)
    hook.remove()
    bits = [values.view(torch.int32).to(torch.int64) for values in (exact, other)]  # neighbors differ by 1
    assert (bits[1] - bits[0]).abs().max() == 1
    assert ((other > exact).any(), (other < exact).any(), (other == exact).any()) == (True, True, True)
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(after, exact)  # nothing is left on the model


def test_codes_are_those_of_the_quantizers_and_flips_are_counted():
    model = build("tiny", classes=4, seed=0).eval()
    quantize_(model.net, QuantSpec.parse("4"))
    with torch.inference_mode():
        calibrate(model.net, [model.normalize(IMAGES)])
        codes = codes_of_cell(model, model)(IMAGES)
    first = model.net.conv1.input_quantizer
    assert list(codes) == ["conv1", "stage1.0", "stage2.0", "stage3.0", "linear"]
    assert torch.equal(codes["conv1"][0], first.codes(model.normalize(IMAGES)))
    other = {layer: [one.clone() for one in of] for layer, of in codes.items()}
    other["stage2.0"][0].view(-1)[:3] += torch.tensor([1, -2, 0], dtype=torch.int32)
    other["linear"][0].view(-1)[0] += 1
    comparison = CodeComparison()
    comparison.add(codes, other, images=4)
    comparison.add(codes, codes, images=4)
    found = comparison.result()
    total = sum(one.numel() for of in codes.values() for one in of)
    assert (found.images, found.layers, found.codes) == (8, 5, 2 * total)
    assert (found.differing, found.largest, found.first) == (3, 2, "stage2.0")
