"""Files of weights as training scripts write them: nested, averaged, wrapped, in other types, hostile."""

import errno
import io
import os
import pickle
import re
import socket
import sys
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.errors import WeightsError
from flatqat.models.base import build
from flatqat.models.weights import load_weights_
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error


def net(seed=0):
    """A network whose names share no prefix."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Linear(4, 2)))


RAW, EMA = net(1).state_dict(), net(2).state_dict()
OTHER = {"a.weight": torch.zeros(3), "b.bias": torch.zeros(2)}
SGD = torch.optim.Adam(net().parameters()).state_dict()


def prefixed(prefix, state=RAW):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def loaded(path, model=None):
    """What is loaded of a file into a network, and the entry that the choice made part of the identity."""
    model = model or net()
    entry = load_weights_(model, path)
    return model.state_dict(), entry


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    "tree",
    [
        {"state_dict": RAW, "epoch": 3, "optimizer": SGD},
        {"state_dict": prefixed("module."), "meta": {"classes": ["a", "b"]}},
        {"state_dict_ema": RAW},
        {"model": {"state_dict": RAW}},
        {"models": [RAW]},
        {"state_dict": RAW, "teacher": OTHER},
        {"state_dict": RAW, "copy": {k: v.clone() for k, v in RAW.items()}},
        {"model": RAW, "config": None, 3: "three"},
    ],
    ids=["optimizer", "meta", "ema", "nested", "list", "another network", "equal", "other keys"],
)
def test_the_only_weights_that_fit_are_taken(tmp_path, tree):
    torch.save(tree, tmp_path / "w.pt")
    state, entry = loaded(tmp_path / "w.pt")
    assert same(state, RAW)
    assert entry == ""


TWO = {
    "state_dict, state_dict_ema": {"state_dict": RAW, "state_dict_ema": EMA},
    "model, model_ema": {"model": prefixed("module."), "model_ema": EMA},
    "net, params_ema": {"net": RAW, "params_ema": EMA},
    "state_dict, ema.state_dict": {"state_dict": RAW, "ema": {"decay": 0.9, "state_dict": EMA}},
    "models.0, models.1": {"models": [RAW, EMA]},
    "student, teacher": {"student": RAW, "teacher": prefixed("module.", EMA)},
}


@pytest.mark.parametrize("names", TWO)
def test_of_two_that_fit_one_must_be_chosen(tmp_path, names):
    first, second = names.split(", ")
    torch.save(TWO[names], tmp_path / "w.pt")
    with pytest.raises(WeightsError) as caught:
        loaded(tmp_path / "w.pt")
    said = str(caught.value)
    assert f"got 2 that fit Sequential: {first} (9 tensors), {second} (9 tensors)" in said
    assert said.endswith(f"choose with --weights {tmp_path}/w.pt#{second}")
    for name, expected in ((first, RAW), (second, EMA)):
        state, entry = loaded(tmp_path / f"w.pt#{name}")
        assert same(state, expected)
        assert entry == name


@pytest.mark.parametrize(
    ("tree", "name"),
    [({"a.b": {"c": RAW}, "a": {"b.c": EMA}}, "a.b.c"), ({0: RAW, "0": EMA}, "0")],
)  # fmt: skip
def test_entries_whose_names_are_the_same_are_refused(tmp_path, tree, name):
    torch.save(tree, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=f"expected one entry {re.escape(name)}, got several"):
        loaded(tmp_path / "w.pt")


def test_an_outer_name_chooses_the_only_weights_in_it(tmp_path):
    torch.save(TWO["state_dict, ema.state_dict"], tmp_path / "w.pt")
    state, entry = loaded(tmp_path / "w.pt#ema")
    assert same(state, EMA)
    assert entry == "ema.state_dict"


@pytest.mark.parametrize("top", ["", "state_dict"])
def test_students_and_teachers_in_one_state_dict_are_named(tmp_path, top):
    """As Lightning keeps them: nothing of a state dict is ignored unless its part is chosen."""
    state = prefixed("student.") | prefixed("teacher.", EMA) | {"step": torch.tensor(3)}
    torch.save({top: state} if top else state, tmp_path / "w.pt")
    whole = f"{top}." if top else ""
    with pytest.raises(WeightsError, match=rf"parts .* fit: {whole}student \(9 .*, {whole}teacher \(9"):
        loaded(tmp_path / "w.pt")
    for name in (f"{whole}teacher", "teacher"):
        state, entry = loaded(tmp_path / f"w.pt#{name}")
        assert same(state, EMA)
        assert entry == f"{whole}teacher"


def test_extra_heads_are_ignored_only_where_the_part_is_chosen(tmp_path):
    torch.save(
        prefixed("module.backbone.") | {"module.rotation.weight": torch.zeros(4, 4)}, tmp_path / "w.pt"
    )
    with pytest.raises(WeightsError, match=r"not in the network"):
        loaded(tmp_path / "w.pt")
    assert same(loaded(tmp_path / "w.pt#module.backbone")[0], RAW)


def test_a_name_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    torch.save(TWO["student, teacher"], tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="name of an entry after #, got 'ema'; got student, teacher"):
        loaded(tmp_path / "w.pt#ema")


def test_a_file_whose_name_has_the_sign_is_that_file(tmp_path):
    torch.save(RAW, tmp_path / "run#1.pt")
    assert same(loaded(tmp_path / "run#1.pt")[0], RAW)
    torch.save(TWO["student, teacher"], tmp_path / "run#2.pt")
    assert same(loaded(tmp_path / "run#2.pt#teacher")[0], EMA)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "net.", "module.", "module._orig_mod.", "a.b.c."])
def test_prefixes_that_all_names_share_are_removed(tmp_path, prefix, suffix):
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(prefixed(prefix), path)
    assert same(loaded(path)[0], RAW)


def test_prefixes_of_compiled_parts_are_removed(tmp_path):
    state = {k.replace("conv.", "conv._orig_mod."): v for k, v in RAW.items()}
    torch.save(state, tmp_path / "w.pt")
    assert same(loaded(tmp_path / "w.pt")[0], RAW)


def test_weights_without_the_prefix_of_the_network_fit(tmp_path):
    torch.save(prefixed("module."), tmp_path / "w.pt")
    wrapper = nn.ModuleDict({"inner": net()})
    assert same(loaded(tmp_path / "w.pt", wrapper)[0], prefixed("inner."))


def test_the_counter_of_stochastic_weight_averaging_is_left_out(tmp_path):
    averaged = AveragedModel(net(1))
    averaged.update_parameters(net(1))
    torch.save(averaged.state_dict(), tmp_path / "w.pt")
    assert "n_averaged" in averaged.state_dict()
    assert same(loaded(tmp_path / "w.pt")[0], RAW)


def test_what_misfits_after_a_prefix_is_said_without_it(tmp_path):
    state = prefixed("module.")
    del state["module.head.bias"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"got 1 missing \(first: head.bias\); check that"):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn], ids=str
)
def test_other_precisions_are_converted(tmp_path, dtype):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in RAW.items()}
    torch.save(state, tmp_path / "w.pt")
    got, _ = loaded(tmp_path / "w.pt")
    assert all(torch.equal(got[k], state[k].to(RAW[k].dtype)) for k in RAW)


def test_memory_formats_and_missing_counters_do_not_matter(tmp_path):
    state = {k: v for k, v in RAW.items() if not k.endswith("num_batches_tracked")}
    state["conv.weight"] = state["conv.weight"].to(memory_format=torch.channels_last)
    torch.save(state, tmp_path / "w.pt")
    got, _ = loaded(tmp_path / "w.pt")
    assert all(torch.equal(got[k], RAW[k]) for k in state)


WEIGHT = RAW["conv.weight"]
ODD = {
    "sparse_coo": lambda: WEIGHT.to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8),
    "without data": lambda: WEIGHT.to("meta"),
    "complex64": lambda: WEIGHT.to(torch.complex64),
    "int8": lambda: WEIGHT.to(torch.int8),
    "not finite": lambda: WEIGHT * float("nan"),
}


@pytest.mark.filterwarnings("ignore")  # torch's prototypes
@pytest.mark.parametrize("kind", ODD)
def test_tensors_without_plain_finite_numbers_are_refused(tmp_path, kind):
    torch.save(RAW | {"conv.weight": ODD[kind]()}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=rf"conv\.weight.*{kind}"):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({0: WEIGHT}, "a dict with Tensor under the key 0"),
        (RAW | {"epoch": 3}, "a dict with int under the key 'epoch'"),
        ({}, "an empty dict"),
        ([1, 2], "list"),
        (WEIGHT, "Tensor"),
        (None, "NoneType"),
    ],
)
def test_files_without_a_state_dict_say_what_they_hold(tmp_path, tree, said):
    torch.save(tree, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=f"expected a state dict of named tensors, got {said}$"):
        loaded(tmp_path / "w.pt")


def test_a_file_that_holds_itself_ends(tmp_path):
    tree = {"state_dict": RAW}
    tree["self"] = tree
    torch.save(tree, tmp_path / "w.pt")
    assert same(loaded(tmp_path / "w.pt")[0], RAW)


@pytest.mark.filterwarnings("ignore")  # of the older weight norm
@pytest.mark.parametrize("theirs", [nn.utils.weight_norm, parametrizations.weight_norm])
@pytest.mark.parametrize("ours", [nn.utils.weight_norm, parametrizations.weight_norm, None])
def test_weight_norm_is_loaded_into_its_own_kind_and_refused_elsewhere(tmp_path, theirs, ours):
    source, target = nn.Sequential(theirs(nn.Linear(3, 2))), nn.Sequential(nn.Linear(3, 2))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    if ours is theirs:
        ours(target[0])
        load_weights_(target, tmp_path / "w.pt")
        x = torch.rand(2, 3)
        torch.testing.assert_close(target(x), source(x))
    else:
        if ours:
            ours(target[0])
        with pytest.raises(WeightsError, match=r"missing .*not in the network \(first: 0.*weight"):
            load_weights_(target, tmp_path / "w.pt")


class Payload:
    """A pickle that would write a file if it were executed."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


class Built(Payload):
    def __reduce__(self):
        return (OrderedDict, (), {"x": 1}, None, iter([("y", Payload(self.path))]))


def zipped(payload):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def tarred(payload):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            archive.addfile(info, io.BytesIO(payload))
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["plain", "zip", "tar", "legacy"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["reduce", "build", "object array"])
def test_hostile_pickles_are_refused_and_not_executed(tmp_path, kind, protocol, form):
    file, trap = tmp_path / "w.pt", tmp_path / "executed"
    hostile = {"reduce": Payload(trap), "build": Built(trap)}.get(kind)
    if hostile is None:
        hostile = np.array([Payload(trap)], dtype=object)
    tree = RAW | {"conv.weight": hostile}
    if form == "legacy":
        torch.save(tree, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    else:
        payload = pickle.dumps({"conv.weight": hostile}, protocol)
        file.write_bytes({"plain": bytes, "zip": zipped, "tar": tarred}[form](payload))
    with pytest.raises(WeightsError, match="expected tensors alone"):
        loaded(file)
    assert not trap.exists()


def test_the_object_that_only_code_could_make_is_named(tmp_path):
    torch.save(RAW | {"args": Payload(tmp_path / "executed")}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"a file that holds io\.open; save the state dict"):
        loaded(tmp_path / "w.pt")


def special(kind, path):
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["none", "a folder", "a pipe", "a socket"])
def test_what_is_no_regular_file_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    special(kind, Path("w.pt"))
    with pytest.raises(WeightsError, match=f"expected a readable file .*, got {kind}; check --weights"):
        loaded(Path("w.pt#ema"))


@pytest.mark.parametrize("name", ["/dev/zero", "x" * 300, "a\0b"])
def test_devices_and_names_that_cannot_exist_are_refused(name):
    with pytest.raises(WeightsError, match=r"expected a readable file .*, got (a device|none)"):
        loaded(Path(name))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_file_whose_name_is_not_text_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"n\xff") / "w.safetensors"
    path.parent.mkdir()
    save_file(RAW, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").rename(path)
    assert same(loaded(path)[0], RAW)


def test_a_file_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    """The reader of safetensors says of every file that it cannot open that there is none."""
    save_file(RAW, tmp_path / "w.safetensors")
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(WeightsError, match="expected a readable file, got: Permission denied; check"):
        loaded(tmp_path / "w.safetensors")


def cell_of(path, tmp_path):
    request = Request(methods=("fp",), models=("tiny",), seeds=(0,), weights=path, results=tmp_path / "r")
    (job,) = make_plan(request).jobs
    return job.cell


def test_the_entry_is_part_of_the_identity_where_it_decides(tmp_path):
    raw, ema = (build("tiny", classes=10, seed=seed).net.state_dict() for seed in (1, 2))
    torch.save({"state_dict": raw, "state_dict_ema": ema}, tmp_path / "two.pt")
    torch.save({"state_dict": prefixed("module.", raw)}, tmp_path / "one.pt")
    first, second = (
        cell_of(tmp_path / f"two.pt#{name}", tmp_path) for name in ("state_dict", "state_dict_ema")
    )
    assert first.weights.removesuffix("#state_dict") == second.weights.removesuffix("#state_dict_ema")
    assert first.id != second.id
    alone, named = (cell_of(tmp_path / name, tmp_path) for name in ("one.pt", "one.pt#state_dict"))
    assert len(alone.weights) == 64
    assert alone == named


def test_a_record_names_the_entry_and_a_report_shows_it(flatqat, tmp_path):
    raw, ema = (build("tiny", classes=4, seed=seed).net.state_dict() for seed in (1, 2))
    torch.save({"state_dict": raw, "state_dict_ema": ema}, tmp_path / "two.pt")
    run = (
        "bench",
        "run",
        "--plugin",
        TOY,
        "--suite",
        "toy",
        "--method",
        "fp",
        "--no-flatness",
        "--seeds",
        "1",
    )
    refused = flatqat(*run, "--weights", tmp_path / "two.pt", "--results", tmp_path / "r")
    assert_one_line_error(refused, r"state_dict \(26 tensors\), state_dict_ema \(26 tensors\); choose with")
    assert not (tmp_path / "r").exists()
    done = flatqat(*run, "--weights", tmp_path / "two.pt#state_dict_ema", "--results", tmp_path / "r")
    assert done.code == 0, done.err
    assert re.search(r"weights [0-9a-f]{8}#state_dict_ema\s", done.out)
    (record,) = Store(tmp_path / "r").records()
    assert record.protocol.parent == "two.pt#state_dict_ema"
    (command,) = commands([record], "r")
    assert "--weights 'two.pt#state_dict_ema'" in command


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_torch_file_that_is_cut_off_is_told(tmp_path, share):
    torch.save(RAW, whole := tmp_path / "whole.pt")
    (file := tmp_path / "w.pt").write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(WeightsError, match=r"w\.pt: expected .* got .*damaged"):
        loaded(file)


def test_complex_weights_are_refused_without_a_warning(tmp_path, recwarn):
    torch.save({name: tensor.to(torch.complex64) for name, tensor in RAW.items()}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="complex64"):
        loaded(tmp_path / "w.pt")
    assert not [w for w in recwarn if "omplex" in str(w.message)]
