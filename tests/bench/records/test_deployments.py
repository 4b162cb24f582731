"""What a record keeps of verified files, on made-up outcomes."""

from dataclasses import replace

import pytest

from flatqat.bench.records.deployments import with_deployment
from flatqat.bench.records.united import united
from flatqat.spec import Compared, Deployment, FileRun, Record
from tests.helpers.gate_records import CELL

ALL = Compared(images=4, predictions=4, agreement=100.0, largest=0.0, relative=0.0, cell=None, file=None,
               low=None, high=None)  # fmt: skip
RUN = FileRun(all=ALL, families={}, shifts={})
FULL = Deployment(
    file="a.onnx",
    sha256="a",
    bytes=1,
    runtime="onnxruntime",
    packages={},
    device="cpu",
    threads=1,
    limit=None,
    plain=RUN,
    optimized=RUN,
    control=RUN,
)
OTHER = replace(FULL, runtime="openvino")
RECORD = Record(cell=CELL, status="done")


def kept(*outcomes: Deployment) -> Record:
    record = RECORD
    for outcome in outcomes:
        record, _ = with_deployment(record, outcome)
    return record


def test_every_runtime_has_its_outcome_and_the_first_one_is_in_tables():
    record = kept(FULL, OTHER)
    assert (record.deployed, dict(record.elsewhere)) == (FULL, {"openvino": OTHER})
    renewed = replace(FULL, threads=2)
    assert kept(FULL, OTHER, renewed) == replace(record, deployed=renewed)
    assert Record.from_dict(record.to_dict()).elsewhere == record.elsewhere


@pytest.mark.parametrize("full", [FULL, replace(FULL, limit=8)])
def test_fewer_images_replace_no_fuller_outcome_of_the_same_file(full):
    few = replace(full, limit=4)
    for first, second in ((full, few), (replace(full, runtime="x"), replace(few, runtime="x"))):
        record, said = with_deployment(kept(first), second)
        assert record.deployed == first
        assert said.startswith("not stored: the record keeps")
        assert said.endswith("and this is on 4")
    record, said = with_deployment(kept(FULL, OTHER), replace(OTHER, limit=4))
    assert record.elsewhere["openvino"] == OTHER
    assert said
    assert with_deployment(kept(few), full) == (replace(RECORD, deployed=full), "")


def test_another_file_replaces_all():
    new = replace(FULL, sha256="b", limit=4)
    assert with_deployment(kept(FULL, OTHER), new) == (replace(RECORD, deployed=new), "")


def test_a_merge_keeps_other_runtimes_of_the_same_file_alone():
    older, newer = (replace(RECORD, last_run=when) for when in "12")
    both = replace(older, deployed=FULL, elsewhere={"openvino": OTHER})
    same = united(both, replace(newer, deployed=FULL), "there")
    assert same.elsewhere == {"openvino": OTHER}
    other = united(both, replace(newer, deployed=replace(FULL, sha256="b")), "there")
    assert other.elsewhere == {}


def test_a_merge_keeps_the_fuller_outcome_of_every_runtime_wherever_it_stands():
    older, newer = (replace(RECORD, last_run=when) for when in "12")
    first = replace(older, deployed=FULL, elsewhere={"openvino": OTHER})
    second = replace(
        newer, deployed=replace(OTHER, limit=4), elsewhere={"third": replace(FULL, runtime="third")}
    )
    for record in (united(first, second, "there"), united(second, first, "there")):
        assert record.deployed == FULL
        assert record.elsewhere == {"openvino": OTHER, "third": replace(FULL, runtime="third")}
