"""Rows that the user names: every format has these alone, with the errors of a folder without others."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.diff.rows import rows_named
from flatqat.bench.records.sections import POOLED, names_of, sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.choice import Choice, chosen
from flatqat.bench.report.html.headline import headline
from flatqat.bench.report.render import FORMATS, load, render
from flatqat.bench.study.study import studies
from flatqat.commands.options import split
from flatqat.errors import UsageError
from flatqat.spec import Record
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.study_records import CELL, SEEDS, flatness, put, right_of

ROWS = {
    "fp": replace(CELL, method="fp", quant="fp"),
    "qat": CELL,
    "sam": replace(CELL, method="sam"),
    "anchor": replace(CELL, method="anchor"),
    "anchor(coupling=elastic, strength=0.3)": replace(
        CELL, method="anchor", method_args=(("coupling", "elastic"), ("strength", 0.3))
    ),
}


def filled(root, names=tuple(ROWS), bits=("4", "3")) -> Store:
    store, cells = Store(root), []
    for name in names:
        own = ("fp",) if name == "fp" else bits
        cells += [replace(ROWS[name], quant=quant, seed=seed) for quant in own for seed in SEEDS]
    for cell in cells:
        place = [list(ROWS).index("anchor" if cell.method_args else cell.method), len(cell.method_args)]
        put(store, cell, right_of(cell.seed, 0.02, {"blur": 0.02 * place[0]}, place), flatness(1, 2))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Five methods, four of them at two bit widths, and a cell of one that failed."""
    store = filled(tmp_path_factory.mktemp("r") / "r")
    store.write_record(Record(cell=replace(CELL, method="gsam"), status="failed", reason="the loss is nan"))
    return store


@pytest.mark.parametrize(
    ("methods", "bits", "expected"),
    [
        (("qat",), (), ["qat 4", "qat 3"]),
        (("anchor",), ("3",), ["anchor 3", "anchor(coupling=elastic, strength=0.3) 3"]),
        (("anchor(coupling=elastic, strength=0.3)",), ("4",), ["anchor(coupling=elastic, strength=0.3) 4"]),
        (("*am",), ("w4a4",), ["sam 4"]),
        (("fp", "q?t"), ("3",), ["fp fp", "qat 3"]),
        (("fp", "sam"), (), ["fp fp", "sam 4", "sam 3"]),
    ],
)
def test_names_and_patterns_of_rows(store, methods, bits, expected):
    (section,) = load(store, None, choice=Choice(methods=methods, bits=bits))
    assert sorted(" ".join(key) for key in section.rows) == sorted(expected)
    assert section.problems == [] or "*am" in methods
    assert split([",".join(methods)]) == methods  # on a command line


def test_bits_alone_keep_full_precision_and_what_failed_at_them(store):
    (section,) = load(store, None, choice=Choice(bits=("4",)))
    assert {bits for _, bits in section.rows} == {"fp", "4"}
    assert [record.cell.method for record in section.problems] == ["gsam"]


@pytest.mark.parametrize("form", FORMATS)
def test_all_formats_have_the_chosen_rows_with_the_errors_of_these_alone(store, tmp_path, form):
    """As of a folder that has no others, but for what says that there are."""
    choice = Choice(methods=("fp", "qat", "sam"), bits=("4",))
    text = render(store, None, form, "method", "qat", choice=choice)
    alone = filled(tmp_path / "r", ("fp", "qat", "sam"), ("4",))
    said = "; only the rows of --method fp,qat,sam --bits 4"
    pooled = {
        "table": f"extra gap: {POOLED}.\n",
        "md": f" extra gap: {POOLED}.",
        "latex": f"extra gap: {POOLED}.\n",
        "html": f"extra gap: {POOLED}.",
        "json": f". extra_gap: {POOLED}",
        "study": f" Δ: {POOLED}.",
    }
    assert "elastic" not in text
    if form in ("latex", "table"):
        said = said.replace("--", "-{}-")
    assert (said in text) == (form not in ("csv", "hf"))
    assert text.count(POOLED) == (form in pooled)
    if form not in ("html", "study"):  # whose sizes and commands differ
        plain = render(alone, None, form, "method", "qat")
        assert text.replace(said, "").replace(pooled.get(form, POOLED), "") == plain
    if form == "study":
        assert "--against qat --suite s --results r --method fp,qat,sam --bits 4 --output PAGE" in text


@pytest.mark.parametrize(
    ("names", "view", "columns", "said"),
    [
        (("fp", "sam"), "method", (), True),
        (("fp", "sam"), "method", ("extra_gap",), True),
        (("fp", "sam"), "method", ("ood",), False),
        (("fp", "sam"), "family", (), False),
        (("sam", "qat"), "method", (), False),  # no extra gap without full precision
        (("*",), "method", (), False),
    ],
)
def test_pooling_is_noted_where_a_pooled_number_is_shown_and_rows_are_left_out(
    store, names, view, columns, said
):
    for form in ("md", "json"):
        text = render(store, None, form, view, columns=columns, choice=Choice(methods=names))
        assert "only the rows of --method" in text
        assert (POOLED in text) == said
    one_seed = [record for record in store.records() if record.cell.seed == 0]
    (section,) = chosen(sections(one_seed), Choice(methods=names))
    assert not section.pools_fewer


def test_the_scatter_is_pooled_over_the_chosen_rows(store):
    def half_width(choice: Choice) -> float:
        (section,) = json.loads(render(store, None, "json", "method", choice=choice))
        (row,) = (row for row in section["rows"] if (row["method"], row["bits"]) == ("sam", "4"))
        return row["extra_gap_high"] - row["extra_gap_low"]

    assert half_width(Choice()) != half_width(Choice(methods=("fp", "sam")))


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(methods=("qta",)), r"unknown method 'qta': expected one of anchor, .*mean 'qat'"),
        (Choice(bits=("w5a5",)), "unknown bits 'w5a5': expected one of 3, 4, fp"),
        (Choice(methods=("fp",), bits=("4",)), None),
        (Choice(methods=("gsam",), bits=("3",)), "expected rows of both, got none; there are: anchor 3, "),
    ],
)
def test_what_no_row_has_is_answered_with_those_there_are(store, choice, told):
    if told is None:
        assert load(store, None, choice=choice)
        return
    with pytest.raises(UsageError, match=told):
        load(store, None, choice=choice)


def test_the_command_takes_them_for_tables_and_pictures(flatqat, store, tmp_path):
    report = (
        "bench",
        "report",
        "--results",
        store.root,
        "--method",
        "fp,anchor(coupling=elastic, strength=0.3)",
    )
    lines = flatqat(*report, "--bits", "3", "--format", "csv").out.splitlines()
    assert [line.count("anchor(coupling=elastic, strength=0.3)") for line in lines[1:]] == [0, 1]
    assert flatqat(*report, "--by", "family").code == 0
    flatqat(*report, "--plot", "id-ood", "--output", tmp_path / "p.svg")
    assert "elastic" in (tmp_path / "p.svg").read_text()
    assert "sam" not in (tmp_path / "p.svg").read_text()
    assert_one_line_error(
        flatqat(*report, "--with", "reference"), "--with: expected all rows, got --method .*; leave one"
    )


def test_an_older_revision_is_answered_with_the_option_that_shows_it(tmp_path):
    store = Store(tmp_path)
    for code, name in (("a" * 12, "qat"), ("a" * 12, "gone"), ("b" * 12, "qat")):
        cell = replace(CELL, method=name, plugins=code)
        record = put(store, cell, right_of(0, 0.02, {}, [0, 0]), flatness(1, 2))
        store.write_record(replace(record, last_run=code))

    def labels(name: str, *, all_revisions: bool = False) -> list[str]:
        (section,) = load(store, None, all_revisions=all_revisions, choice=Choice(methods=(name,)))
        return [label for label, _ in section.rows]

    older, latest = "qat (revision aaaaaa)", "qat (revision bbbbbb)"
    for name in (older, "qat (revision a*)"):
        with pytest.raises(UsageError, match=r"method 'qat .*': an older revision; add --all-revisions"):
            labels(name)
        assert labels(name, all_revisions=True) == [older]
    with pytest.raises(
        UsageError, match=r"method 'qat .*': the latest revision by name; add --all-revisions"
    ):
        labels(latest)
    for name in (latest, f"{latest[:-1]}, latest)"):
        assert labels(name, all_revisions=True) == ["qat (revision bbbbbb, latest)"]


def test_bits_need_no_version_of_the_quantizer(tmp_path):
    """As `bench run` takes them, where tables show `4@apot v2`; a bare row comes first."""
    store = Store(tmp_path)
    cells = [replace(CELL, quant="4@apot", quant_version=2), CELL, replace(CELL, quant_version=2)]
    for place, cell in enumerate(cells):
        put(store, cell, right_of(0, 0.02, {}, [place, 0]))
    (section,) = sections(store.records())
    for bits, rows in (("4@apot", ["4@apot v2"]), ("4@apot v2", ["4@apot v2"]), ("4", ["4", "4 v2"])):
        (alone,) = chosen([section], Choice(bits=(bits,)))
        assert [key[1] for key in alone.rows] == rows
        assert list(rows_named(section, f"qat {bits}")) == [("qat", rows[0])]
    with pytest.raises(UsageError, match="unknown bits '4@lsqplus'"):
        chosen([section], Choice(bits=("4@lsqplus",)))


def test_a_row_with_revisions_has_the_same_names_everywhere(tmp_path):
    """Where rows are chosen, where two are compared, as the baseline of a study, and on the page."""
    store, settings = Store(tmp_path), (("strength", 0.3),)
    mine = [replace(CELL, method="mine", method_args=settings, plugins=code * 12) for code in "ab"]
    for cell in (CELL, *mine):
        record = put(store, cell, right_of(0, 0.02, {}, [0, 0]), flatness(1, 2))
        store.write_record(replace(record, last_run=cell.plugins or ""))
    (section,) = sections(store.records(), all_revisions=True)
    older, latest = (f"mine(strength=0.3) (revision {code})" for code in ("aaaaaa", "bbbbbb, latest"))
    assert names_of(older) == (older,)
    assert names_of(latest) == (latest, "mine(strength=0.3) (revision bbbbbb)", "mine(strength=0.3)")
    for label in (older, latest):
        for name in names_of(label):
            (alone,) = chosen([section], Choice(methods=(name,)))
            assert list(alone.rows) == [(label, "4")]
            for word in (name, f"{name} 4"):
                assert list(rows_named(section, word)) == [(label, "4")]
            (study,) = studies(section, store, name)
            assert study.baseline.method == label
            assert headline(section, [{"method": label, "bits": "4", "ood_top1": None}], {}, name).endswith(
                f"of `{label} 4` is not known."
            )
