"""The check of the gate as JUnit XML, which CI services list as tests.

A row is a test case: a failure if it trips the gate, skipped if it is undecided. A cell that could not be
compared is an error. Elements and attributes are those that the schemas of Ant's JUnit task and of Jenkins'
xUnit plugin both take, in the order of the former, which demands all of them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules, Verdict
from flatqat.bench.gate.wording import beside, conclusion, differing, notes, sentence
from flatqat.console.printable import printable
from flatqat.exit_codes import INCOMPLETE

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SUITE, PACKAGE, HOST, NO_TIME = "flatqat bench check", "flatqat", "localhost", "0"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
OUTCOMES = ("failure", "error", "skipped")


def as_junit(checked: Checked, rules: Rules, when: datetime | None = None) -> str:
    """Return a check as JUnit XML, done at a time in UTC, by default now."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    cases = [*_cases(checked, rules)]
    count = {outcome: str(sum(case.find(outcome) is not None for case in cases)) for outcome in OUTCOMES}
    root = Element("testsuites")
    suite = SubElement(
        root,
        "testsuite",
        name=_token(f"{SUITE}: {checked.title}" if checked.title else SUITE),
        package=PACKAGE,
        id="0",
        timestamp=f"{when or datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        hostname=HOST,
        tests=str(len(cases)),
        failures=count["failure"],
        errors=count["error"],
        skipped=count["skipped"],
        time=NO_TIME,
    )
    properties = SubElement(suite, "properties")
    for name, value in (("max-drop", rules.max_drop), ("p", rules.p), ("exit-code", checked.code)):
        SubElement(properties, "property", name=name, value=f"{value:g}")
    suite.extend(cases)
    said = [conclusion(checked, rules), *differing(checked), *beside(checked), *notes(checked, rules)]
    SubElement(suite, "system-out").text = "\n".join(map(printable, said))
    SubElement(suite, "system-err")
    indent(root)
    return f"{DECLARATION}\n{tostring(root, encoding='unicode')}\n"


def _cases(checked: Checked, rules: Rules) -> Iterator["Element"]:
    for verdict in checked.verdicts:
        yield _case(verdict.cell, verdict.what, *_outcome(verdict, rules))
    for cell, reason in checked.missing:
        yield _case(cell, "comparison", "error", "missing", reason)
    if checked.code == INCOMPLETE and not checked.verdicts and not checked.missing:
        yield _case(SUITE, "comparison", "error", "missing", conclusion(checked, rules))


def _outcome(verdict: Verdict, rules: Rules) -> tuple[str, str, str]:
    """Return the element of a row, its type and its message; no element for one that passes."""
    improved = rules.two_sided and verdict.verdict == "improved"
    tag = {"regressed": "failure", "undecided": "skipped"}.get(verdict.verdict, "failure" * improved)
    return tag, verdict.verdict, sentence(verdict)


def _case(cell: str, name: str, tag: str, kind: str, message: str) -> "Element":
    from xml.etree.ElementTree import Element, SubElement

    case = Element("testcase", classname=_token(cell), name=_token(name), time=NO_TIME)
    if tag:
        SubElement(case, tag, type=kind, message=printable(message))
    return case


def _token(text: str) -> str:
    """Return text as XML's tokens are: on one line, without spaces at the ends and double ones."""
    return " ".join(printable(text).split())
