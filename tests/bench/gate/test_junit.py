"""JUnit XML keeps to the schemas of Ant's task and of Jenkins' xUnit plugin, and has the table's verdicts."""

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import pytest

from flatqat.bench.gate.as_junit import as_junit
from flatqat.bench.gate.check import Checked, code_of
from flatqat.bench.gate.compare import Rules, Verdict
from flatqat.exit_codes import INCOMPLETE

WHEN = datetime(2026, 1, 2, 3, 4, 5)
SUITE = {
    "name": r"\S+( \S+)*",  # a token, which is not empty
    "package": r"\S+",
    "id": r"0",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",  # without a time zone
    "hostname": r"\S+",
    "tests": r"\d+",
    "failures": r"\d+",
    "errors": r"\d+",
    "skipped": r"\d+",
    "time": r"\d+(\.\d+)?",
}
CASE = {"classname": r"\S+( \S+)*", "name": r"\S+( \S+)*", "time": r"\d+(\.\d+)?"}


def verdict(word: str, cell: str = "qat 4", what: str = "id") -> Verdict:
    return Verdict(
        cell=cell,
        what=what,
        before=80.0,
        now=78.0,
        change=-2.0,
        catches=1.0,
        p=0.001,
        verdict=word,
        seeds_before=3,
        seeds_now=3,
    )


def checked_of(verdicts, missing=(), rules=None, title="s · m", differences=None) -> Checked:
    return Checked(
        code=code_of(verdicts, rules or Rules(), complete=not missing),
        title=title,
        verdicts=verdicts,
        missing=list(missing),
        differences=differences or {},
        extra=[],
        older=0,
    )


def assert_valid(text: str) -> ElementTree.Element:
    """The suite, if the text keeps to both schemas."""
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n')
    root = ElementTree.fromstring(text.encode())
    assert (root.tag, root.attrib) == ("testsuites", {})
    (suite,) = root
    assert suite.tag == "testsuite"
    assert_attributes(suite, SUITE)
    tags = [child.tag for child in suite]
    cases = suite.findall("testcase")
    assert tags == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
    for one in suite[0]:
        assert_attributes(one, {"name": r"\S+", "value": r".*"})
    found = Counter(tests=len(cases))
    for case in cases:
        assert_attributes(case, CASE)
        assert len(case) <= 1, "one outcome at most"
        for outcome in case:
            assert outcome.tag in ("failure", "error", "skipped")
            assert_attributes(outcome, {"type": r".+", "message": r".+"})
            found[{"failure": "failures", "error": "errors"}.get(outcome.tag, outcome.tag)] += 1
    for name in ("tests", "failures", "errors", "skipped"):
        assert int(suite.attrib[name]) == found[name]
    return suite


def assert_attributes(element: ElementTree.Element, expected: dict[str, str]) -> None:
    assert element.attrib.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.fullmatch(pattern, element.attrib[name]), (element.tag, name, element.attrib[name])


def outcomes(suite: ElementTree.Element) -> dict[tuple[str, str], str]:
    return {
        (case.attrib["classname"], case.attrib["name"]): " ".join(f"{o.tag} {o.attrib['type']}" for o in case)
        for case in suite.findall("testcase")
    }


@pytest.mark.parametrize("two_sided", [False, True])
def test_outcomes_are_the_verdicts_of_the_table(two_sided):
    words = ("ok", "regressed", "undecided", "improved")
    rules = Rules(two_sided=two_sided)
    verdicts = [verdict(word, what=word) for word in words]
    checked = checked_of(verdicts, [("sam 4", "seed 0 failed: nan")], rules)
    suite = assert_valid(as_junit(checked, rules, WHEN))
    assert outcomes(suite) == {
        ("qat 4", "ok"): "",
        ("qat 4", "regressed"): "failure regressed",
        ("qat 4", "undecided"): "skipped undecided",
        ("qat 4", "improved"): "failure improved" if two_sided else "",
        ("sam 4", "comparison"): "error missing",
    }
    assert suite.attrib["timestamp"] == "2026-01-02T03:04:05"
    (message,) = (o.attrib["message"] for o in suite.iter("failure") if o.attrib["type"] == "regressed")
    assert message == "regressed: 80.00 → 78.00 (-2.00 points, p 0.001)"
    assert {p.attrib["name"]: p.attrib["value"] for p in suite[0]}["exit-code"] == "1"


@pytest.mark.parametrize(("verdicts", "missing"), [([], []), ([verdict("ok")], []), ([], [("a", "b")])])
def test_any_check_is_valid(verdicts, missing):
    assert_valid(as_junit(checked_of(verdicts, missing, title=""), Rules(), WHEN))


def test_texts_of_a_stranger_stay_texts():
    name = '<a>&"\x00\x1b[2J\ud800\uffff  ]]> '
    checked = checked_of(
        [verdict("regressed", cell=name)], [(name, name)], title=name, differences={name: [name]}
    )
    suite = assert_valid(as_junit(checked, Rules(), WHEN))
    assert suite.find("testcase").attrib["classname"] == r"""<a>&"\x00\x1b[2J\ud800\uffff ]]>"""


def test_a_check_without_a_row_is_not_green():
    """Services that read only the file would take no test for no problem."""
    checked = replace(checked_of([]), code=INCOMPLETE)
    suite = assert_valid(as_junit(checked, Rules(), WHEN))
    (case,) = suite.findall("testcase")
    assert case.find("error").get("message")
    assert suite.get("errors") == suite.get("tests") == "1"
