"""--keep and --layer-bits through the whole benchmark: identity, restoring from the record, tables."""

import re

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.restore import restore
from flatqat.bench.plan.jobs import make_plan, members
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.errors import UsageError
from flatqat.quant.apply import quantizers
from tests.helpers import TOY
from tests.helpers.plugins import plugins_removed
from tests.helpers.running import run_plan

CPU = torch.device("cpu")


def plan(results, **changes):
    return make_plan(
        Request(suites=("toy",), seeds=(0,), methods=("qat",), results=results, spaces=(), **changes)
    )


def test_cells_of_other_layers_are_others_and_the_defaults_are_none(tmp_path):
    def ids(**changes):
        return [job.cell.id for job in plan(tmp_path, bits=("3", "fp"), **changes).jobs]

    pretrain, quantized, floating = ids()
    assert ids(keep=("last", "first")) == [pretrain, quantized, floating]
    for changes in ({"keep": ("none",)}, {"layer_bits": ("conv1=4",)}):
        start, other, same = ids(**changes)
        assert (start, same) == (pretrain, floating)
        assert other != quantized


@pytest.mark.parametrize("changes", [{"keep": ("stge*",)}, {"layer_bits": ("stge*=8",)}])
def test_layers_that_do_not_exist_are_refused_before_anything_is_computed(tmp_path, changes):
    with pytest.raises(UsageError, match=r"'stge\*': expected one of conv1, first, last, linear, stage1"):
        plan(tmp_path, bits=("3",), **changes)


def test_a_cell_is_restored_from_its_record_alone(tmp_path):
    run_plan(plan(tmp_path, bits=("4@apot", "4"), keep=("none",), layer_bits=("stage1.*=w2a5", "linear=fp")))
    run_plan(plan(tmp_path, bits=("4@apot",)))
    store = Store(tmp_path)
    records = {record.cell.bits: record for record in store.records()}
    own = "(keep none; linear=fp,stage1.*=w2a5)"
    apot = registry.load(registry.QUANTIZERS, "apot").version
    assert set(records) == {f"4@apot v{apot}", f"4@apot v{apot} {own}", f"4 {own}"}
    record = records[f"4@apot v{apot} {own}"]
    assert record.protocol.quant.keep == ()
    assert record.protocol.quant.layer_bits == (("linear", "fp"), ("stage1.*", "w2a5"))
    (suite,) = members("toy", 0)
    model = restore(record.cell, suite, store)
    widths = {(name, q.role): q.bits for name, q in quantizers(model.net)}
    assert widths["conv1", "weight"] == 4
    assert (widths["stage1.0", "weight"], widths["stage1.0", "input"]) == (2, 5)
    assert ("linear", "weight") not in widths
    data = suite.val(None)
    images, labels = data.batch(torch.arange(len(data)), "cpu")
    right = 100 * (model(images).argmax(1) == labels).float().mean().item()
    assert right == pytest.approx(record.scores["val"]["top1"].value)
    assert f"4@apot v{apot} {own}" in render(store, None, "csv", "method")
    assert r"(keep none; linear=fp,stage1.\*=w2a5)" in render(store, None, "md", "method")
    assert r"qat 4 (keep none; linear=fp,stage1.\*=w2a5)" in render(store, None, "md", "family")


def test_the_quantizer_of_held_layers_is_part_of_the_identity(tmp_path):
    """A plugin that names another plugin for them: editing that one changes the cell."""
    ids = []
    for version in ("1", "2"):
        folder = tmp_path / version
        folder.mkdir()
        (folder / "holder.py").write_text(
            f"from flatqat.quant.minmax import MinMax\n\nQUANTIZER = MinMax  # {version}\n"
        )
        (folder / "held.py").write_text(
            "from flatqat.quant.minmax import MinMax\n\n\nclass Held(MinMax):\n"
            '    edge_quantizer = "holder"\n\n\nQUANTIZER = Held\n'
        )
        with plugins_removed():
            for name in ("holder.py", "held.py"):
                registry.add_plugin(folder / name)
            ids.append([job.cell.id for job in plan(tmp_path / "results", bits=("3@held",)).jobs][-1])
    assert ids[0] != ids[1]


def test_the_command_line_takes_both_and_names_the_nearest_layer(flatqat, tmp_path):
    command = ["bench", "run", "--plugin", TOY, "--suite", "toy", "--method", "qat", "--seeds", "1"]
    command += ["--results", tmp_path, "--dry-run"]
    given = ["--keep", "first,linear", "--layer-bits", "stage1.*=8", "--layer-bits", "linear=fp"]
    plain, other = flatqat(*command), flatqat(*command, *given)
    assert plain.code == other.code == 0, other.err
    ids = [re.findall(r"tiny-qat-4-s0-(\w+)", done.out) for done in (plain, other)]
    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]
    wrong = flatqat(*command, "--keep", "stage9.*")
    assert wrong.code == 2
    assert wrong.err.startswith("error: unknown layer of --keep 'stage9.*': expected one of conv1, first,")
    assert "did you mean 'stage" in wrong.err
