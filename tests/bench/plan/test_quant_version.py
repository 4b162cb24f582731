"""The version of quantization in a cell: old and new numbers stay apart, unchanged cells keep their ids."""

from pathlib import Path

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.errors import UsageError

NETS = """
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm


def net(wrap):
    return lambda classes: nn.Sequential(wrap(nn.Conv2d(3, 4, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                         nn.Linear(4, classes))


plain, normed = net(lambda layer: layer), net(weight_norm)
pruned = net(lambda layer: prune.l1_unstructured(layer, "weight", 0.5))
"""


def cells(tmp_path: Path, name: str, bits: tuple[str, ...], methods: tuple[str, ...] = ("fp", "qat")):
    file = tmp_path / "nets.py"
    file.write_text(NETS)
    request = Request(
        methods=methods, bits=bits, models=(f"file:{file}:{name}",), results=tmp_path / "results"
    )
    return {job.cell.quant: job.cell for job in make_plan(request).scored()}


def test_quantizers_and_networks_whose_numbers_changed_have_later_versions(tmp_path):
    bits = ("4", "4@apot", "4@pot", "4@lsqplus", "4@ewgs", "4@n2uq", "4@minmax", "4@pact", "4@dorefa")
    found = {quant: cell.quant_version for quant, cell in cells(tmp_path, "plain", bits).items()}
    later = dict.fromkeys(("4@lsqplus", "4@ewgs", "4@n2uq", "4@pact", "4@dorefa"), 2)
    later |= {"4@apot": 3, "4@pot": 3}
    assert found == {quant: later.get(quant, 1) for quant in ("fp", *bits)}
    found = {quant: cell.quant_version for quant, cell in cells(tmp_path, "normed", ("4", "4@apot")).items()}
    assert found == {"fp": 1, "4": 2, "4@apot": 3}


def test_the_version_shows_in_tables_and_not_in_cells_of_the_first(tmp_path):
    found = cells(tmp_path, "plain", ("4", "4@apot"))
    assert found["4@apot"].bits == "4@apot v3"
    assert found["4"].bits == "4"
    assert "quant_version" not in found["4"].to_dict()


def test_a_network_that_cannot_be_quantized_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match=r"layer 0: .*prune\.remove"):
        cells(tmp_path, "pruned", ("4",))
    assert cells(tmp_path, "pruned", ("4",), ("fp",)).keys() == {"fp"}
