"""What stands in bold is the best of its bits as far as paired differences can tell; columns are chosen."""

import csv
import io
import re
from dataclasses import replace
from itertools import product

import pytest

from flatqat.bench.records.paired import Runs
from flatqat.bench.records.store import Store
from flatqat.bench.report.best import NOTE, best
from flatqat.bench.report.render import load, render
from flatqat.errors import UsageError
from flatqat.spec import Eigenvalue, Flatness, MeanRise, Score, SpaceFlatness
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.cost_records import cost, put

COST = cost(9000, 4)


@pytest.fixture
def store(tmp_path) -> Store:
    """`sam` is far better than `qat` at 4 bits, and `ema` equal to `sam` but for one image of 200."""
    for seed in range(3):
        put(tmp_path, "fp", "fp", 0.95, COST, seed=seed)
        put(tmp_path, "qat", "4", 0.60, COST, seed=seed)
        put(tmp_path, "sam", "4", 0.80, COST, seed=seed)
        put(tmp_path, "ema", "4", 0.795, COST, seed=seed)
        put(tmp_path, "qat", "3", 0.70, COST, seed=seed)
        put(tmp_path, "sam", "3", 0.70, COST, seed=seed)
        put(tmp_path, "ema", "2", 0.50, COST, seed=seed)
    return Store(tmp_path)


def test_the_best_and_those_that_may_be_equal_to_it(store):
    (section,) = load(store, None)
    found = best(section, {key: Runs.of(records, store) for key, records in section.rows.items()})
    assert found["OOD"] == {("sam", "4"), ("ema", "4")}
    assert found["ID"] == set(), "equal on every image: nothing is decided"


@pytest.mark.parametrize(("others", "bold"), [(("qat",), {("sam", "4")}), (("qat", "ema"), set())])
def test_what_one_test_tells_apart_two_may_not(tmp_path, others, bold):
    """Four of 200 images: p is 0.045 on its own, and 0.09 after Holm's correction over two."""
    for seed in range(2):
        put(tmp_path, "sam", "4", 0.80, COST, seed=seed)
        for method in others:
            put(tmp_path, method, "4", 0.78, COST, seed=seed)
    store = Store(tmp_path)
    (section,) = load(store, None)
    runs = {key: Runs.of(records, store) for key, records in section.rows.items()}
    assert best(section, runs)["OOD"] == bold


@pytest.mark.parametrize("seeds", [{"qat": (0,), "sam": (0,)}, {"qat": (0, 1, 2), "sam": (0, 1)}])
def test_one_seed_and_other_seeds_say_nothing_of_methods(tmp_path, seeds):
    for method, of_method in seeds.items():
        for seed in of_method:
            put(tmp_path, method, "4", 0.8 if method == "sam" else 0.6, COST, seed=seed)
    store = Store(tmp_path)
    (section,) = load(store, None)
    found = best(section, {key: Runs.of(records, store) for key, records in section.rows.items()})
    assert found == {"ID": set(), "OOD": set()}


def test_latex_has_them_in_bold_and_says_what_that_means(store):
    text = render(store, None, "latex", "method", "qat")
    bold = [line.split(" & ")[0] for line in text.splitlines() if r"\textbf" in line]
    assert set(bold) == {"sam", "ema"}
    assert all(len(re.findall(r"\\textbf", line)) <= 1 for line in text.splitlines())
    assert NOTE.partition(":")[0] in text
    assert r"\textbf" not in render(store, None, "latex", "family", "qat")
    assert "**" not in render(store, None, "md", "method", "qat")


def test_chosen_columns_come_in_the_users_order_and_bold_goes_with_them(store):
    text = render(store, None, "latex", "method", "qat", columns=("OOD", "ID"))
    header = next(line for line in text.splitlines() if line.startswith("method"))
    assert header == r"method & bits & OOD & ID \\"
    (sam,) = [line for line in text.splitlines() if line.startswith("sam & 4")]
    assert sam.startswith(r"sam & 4 & \textbf{\boldmath 80.0 $\pm$")
    csv = render(store, None, "csv", "method", "qat", columns=("ood_top1",))
    assert csv.splitlines()[0] == "section,method,bits,ood_top1"


def test_a_column_is_found_without_its_brackets_and_marks(store):
    whole = render(store, None, "md", "method", "qat")
    text = render(store, None, "md", "method", "qat", columns=("extra gap",))
    assert "extra gap [95%]" in text
    assert "| NLL" not in text
    assert "| NLL" in whole or "NLL |" in whole
    assert "NLL, ECE: means" not in text, "nor is what it would have meant"


@pytest.mark.parametrize(
    ("form", "names", "header"),
    [
        ("md", ("ood", "Extra_Gap", "SHARP"), "OOD extra gap [95%] sharp"),
        ("md", ("ood_top1", "sharpness", "ood", "bops"), "OOD sharp GBOPs"),
        ("latex", ("lambda_max",), r"$\lambda_{\max}$"),
        ("csv", ("OOD", "extra gap", "λmax", "Sharp"), "ood_top1 extra_gap lambda_max sharpness"),
        ("csv", ("NLL", "ood_nll"), "ood_nll"),
    ],
)
def test_a_column_has_its_name_of_csv_and_of_tables_in_every_format(tmp_path, form, names, header):
    flat = SpaceFlatness(
        space="quantized", acts="off", images=1, seed=0, loss=1.0, weight_norm=1.0,
        lambda_max=Eigenvalue(value=3.0, residual=0.0),
        sharpness_avg={"0.1": MeanRise(value=0.5, stderr=None, draws=1)},
    )  # fmt: skip
    for seed, (method, bits) in product((0, 1), (("fp", "fp"), ("qat", "4"))):
        put(tmp_path, method, bits, 0.8, COST, seed=seed, flatness=Flatness(quantized=flat))
    text = render(Store(tmp_path), None, form, "method", "qat", columns=names)
    (line,) = [line for line in text.splitlines() if "method" in line and "bits" in line]
    found = [cell.strip() for cell in re.split(r"[|&,]", line.removesuffix(r" \\")) if cell.strip()]
    assert " ".join(found[found.index("bits") + 1 :]) == header


def test_the_choices_are_listed_once(store, tmp_path):
    put(tmp_path, "qat", "4", 0.7, COST, suite="t")
    with pytest.raises(UsageError) as error:
        render(store, None, "md", "method", "qat", columns=("oodd",))
    assert str(error.value).count("OOD") == 1


def test_brier_and_detection_are_shown_on_request(tmp_path):
    record = put(tmp_path, "qat", "4", 0.7, COST)
    scores = {name: dict(of) for name, of in record.scores.items()}
    for name, brier in (("val", 0.75), ("id", 0.125), ("fog/1", 0.25)):
        scores[name]["brier"] = Score(value=brier, n=200)
    scores["fog/1"]["auroc"] = Score(value=61.5, n=200)
    Store(tmp_path).write_record(replace(record, scores=scores))
    store = Store(tmp_path)
    usual = render(store, None, "md", "method", "qat")
    assert "AUROC" not in usual
    assert "NLL, ECE: means" in usual
    text = render(store, None, "md", "method", "qat", columns=("AUROC", "Brier"))
    (row,) = [line.split("|") for line in text.splitlines() if line.startswith("| qat")]
    assert [cell.strip() for cell in row[3:5]] == ["61.5", "0.250"]
    assert "AUROC: of telling" in text
    (numbers,) = csv.DictReader(io.StringIO(render(store, None, "csv", "method", "qat")))
    assert [float(numbers[name]) for name in ("id_brier", "ood_brier", "ood_auroc")] == [0.125, 0.25, 61.5]


def test_records_without_confidences_are_told_apart_from_a_wrong_name(flatqat, tmp_path):
    put(tmp_path, "qat", "4", 0.7, COST)
    for name in ("Brier", "ood_auroc"):
        done = flatqat("bench", "report", "--results", tmp_path, "--columns", f"OOD,{name}", "--format", "md")
        why = f"column '{name}': .* found none; these records have no confidences, .* bench run --rerun"
        assert_one_line_error(done, why)
    assert_one_line_error(
        flatqat("bench", "report", "--results", tmp_path, "--columns", "Brier", "--by", "family"),
        "unknown column 'Brier'",
    )


def test_suites_that_lack_a_column_go_without_it_and_unknown_ones_are_told(store, tmp_path):
    put(tmp_path, "qat", "4", 0.7, COST, suite="t")
    text = render(store, None, "md", "method", "qat", columns=("extra gap", "ID"))
    assert text.count("extra gap [95%]") == 1
    assert "### t v1" in text
    for form in ("md", "csv"):
        with pytest.raises(UsageError, match="unknown column 'mCE': expected one of"):
            render(store, None, form, "method", "qat", columns=("mCE",))
