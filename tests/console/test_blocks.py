"""Where a name breaks that has no room on one line, in every table."""

import pytest

from flatqat.console.blocks import folded
from flatqat.console.grouped import print_grouped
from flatqat.console.terminal import terminal


@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [
        ("noisy-qat(strength=0.01)", 24, ["noisy-qat(strength=0.01)"]),
        ("noisy-qat(strength=0.01)", 16, ["noisy-qat(", "strength=0.01)"]),
        ("noisy-qat(strength=0.01) 4", 18, ["noisy-qat(", "strength=0.01) 4"]),
        ("noisy-qat(a=1, b=2)", 14, ["noisy-qat(a=1,", "b=2)"]),
        ("anchor(coupling=elastic)", 16, ["anchor(coupling=", "elastic)"]),
        ("tiny-qat-4-s0-0a1b2c3d", 14, ["tiny-qat-4-s0-", "0a1b2c3d"]),
        ("qat 4 → noisy-qat(strength=0.01) 4", 18, ["qat 4 → noisy-qat(", "strength=0.01) 4"]),
        ("a_name_without_a_place", 9, ["a_name_without_a_place"]),
    ],
)
def test_a_name_breaks_at_the_best_place_that_is_fine_enough(name, width, lines):
    assert folded(name, width).split("\n") == lines


def test_groups_break_their_names_in_the_same_way(capsys):
    rows = [("qat 4 → noisy-qat(strength=0.01) 4", what, "1.0") for what in ("id", "ood", "blur")]
    console = terminal(width=34, force_terminal=True)
    print_grouped(("cell", "what", "A"), rows, console, ())
    found = [line.split("  ")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in found if line.startswith(("qat", "strength"))] == [
        "qat 4 → noisy-qat(",
        "strength=0.01) 4",
    ]
