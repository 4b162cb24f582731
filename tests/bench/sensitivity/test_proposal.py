"""What a proposal costs, what it is compared with, and what `bench run` makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.sensitivity.options import Options, parse_budget
from flatqat.bench.sensitivity.proposal import Budget, Costs, propose, spec_of
from flatqat.errors import UsageError
from flatqat.quant.apply import by_layer
from flatqat.quant.layer_cost import LayerCost
from flatqat.spec import QuantSpec

LAYERS = {
    "stem": LayerCost(macs=1_000_000_000, weights=100),
    "a": LayerCost(macs=4_000_000_000, weights=1000),
    "b": LayerCost(macs=4_000_000_000, weights=0),  # shares the weight of a
    "c": LayerCost(macs=1_000_000_000, weights=3000),
    "head": LayerCost(macs=0, weights=900),
}
UNITS = {"stem": ("stem",), "a": ("a", "b"), "c": ("c",), "head": ("head",)}
CHOICES = [QuantSpec.parse(bits, keep="none") for bits in ("8", "4", "w4a8")]


def costs(kind: str, value: float) -> Costs:
    return Costs(UNITS, LAYERS, Budget(kind=kind, value=value))


def test_costs_by_hand():
    bops, size = costs("bops", 1), costs("average-bits", 1)
    assert bops.of_unit("a", QuantSpec.parse("w4a8")) == 8 * 4 * 8
    assert bops.of_unit("stem", QuantSpec.parse("w4")) == 4 * 32
    assert bops.of_spec(QuantSpec.parse("4")) == 1 * 64 + 8 * 16 + 1 * 16  # 8 bits at both ends
    assert size.of_unit("c", QuantSpec.parse("w4a8")) == 3000 * 4 / 5000
    assert size.of_spec(QuantSpec.parse("4")) == (100 * 8 + 4000 * 4 + 900 * 8) / 5000


@pytest.mark.parametrize("solver", ["exact", "greedy"])
@pytest.mark.parametrize(("kind", "value"), [("bops", 300.0), ("average-bits", 5.0)])
def test_a_proposal_keeps_its_budget_and_bench_run_understands_it(kind, value, solver):
    harm = np.random.default_rng(0).random((4, 3, 1)) + np.array([0.0, 2.0, 1.0])[None, :, None]
    found = propose(costs(kind, value), CHOICES, harm, solver=solver)
    assert found.cost <= value * (1 + 1e-9)
    text = found.spec.layer_bits_text
    parsed = QuantSpec.parse(str(found.spec), layer_bits=text)  # kept layers are the default ones
    meant = by_layer(list(LAYERS), parsed)
    for unit, names in UNITS.items():
        for name in names:
            own = found.by_unit[unit]
            assert (meant[name].weight_bits, meant[name].act_bits) == (own.weight_bits, own.act_bits)
            assert meant[name].quantizer == own.quantizer
    assert costs(kind, value).of_spec(parsed) == pytest.approx(found.cost)


def test_the_ends_have_the_bits_that_were_chosen():
    """They stay at 8 bits where no bits of their own are named."""
    names = ["first", "middle", "last"]
    spec = spec_of(names, {name: (name,) for name in names}, dict.fromkeys(names, QuantSpec.parse("4")))
    assert {(one.weight_bits, one.act_bits) for one in by_layer(names, spec).values()} == {(4, 4)}


def test_the_bits_of_another_quantizer_stay_its_own():
    by_unit = {unit: QuantSpec.parse(bits + "@apot") for unit, bits in zip(UNITS, "8443", strict=True)}
    spec = spec_of(list(LAYERS), UNITS, by_unit)
    assert (str(spec), spec.layer_bits_text) == ("4@apot", "stem=8,head=3")
    assert {one.quantizer for one in by_layer(list(LAYERS), spec).values()} == {"apot"}


def test_layers_called_first_and_last_get_their_own_bits():
    """As patterns these words name the ends."""
    names = ["stem", "last", "first", "head"]
    by_unit = {name: QuantSpec.parse(bits) for name, bits in zip(names, "4826", strict=True)}
    spec = spec_of(names, {name: (name,) for name in names}, by_unit)
    parsed = QuantSpec.parse(str(spec), layer_bits=spec.layer_bits_text)
    got = {name: one.weight_bits for name, one in by_layer(names, parsed).items()}
    assert got == {"stem": 4, "last": 8, "first": 2, "head": 6}


def test_choices_of_several_quantizers_are_refused():
    """A cell has one for all layers, whose bits a proposal names."""
    own = QuantSpec.parse("8")
    with pytest.raises(UsageError, match=r"--choices: expected bits of one quantizer, .* got apot and lsq; "):
        Options(choices=("8", "4@apot")).chosen_from(own)
    assert [s.quantizer for s in Options(choices=("8@apot", "4@apot")).chosen_from(own)] == ["apot"] * 2


def test_it_is_compared_with_the_most_uniform_bits_of_the_same_cost():
    harm = np.zeros((4, 3, 1))
    of_four = costs("bops", 1).of_spec(QuantSpec.parse("4"))
    assert propose(costs("bops", of_four), CHOICES, harm).uniform == QuantSpec.parse("4")
    assert propose(costs("bops", of_four + 1), CHOICES, harm).uniform == QuantSpec.parse("4")
    just_below = propose(costs("bops", of_four * 0.999), CHOICES, harm)
    assert just_below.uniform == QuantSpec.parse("4", keep="none")
    low = costs("bops", 1).of_spec(replace(QuantSpec.parse("2"), keep=()))
    without_ends = propose(costs("bops", low), [*CHOICES, QuantSpec.parse("2")], np.zeros((4, 4, 1)))
    assert without_ends.uniform == replace(QuantSpec.parse("2"), keep=())


def test_an_average_of_five_bits_is_compared_with_five_bits_everywhere():
    """With 8 bits at both ends, which have a fifth of the weights, only 4 bits would fit elsewhere."""
    assert propose(costs("average-bits", 5.0), CHOICES, np.zeros((4, 3, 1))).uniform_cost == 5.0


@pytest.mark.parametrize(
    ("texts", "kind", "uniform"),
    [
        (("w8", "w6", "w4"), "average-bits", "w5"),
        (("w8", "w6", "w4"), "bops", "w5"),
        (("w32a8", "w32a5"), "bops", "w32a5"),
        (("8", "w6a8", "w4a8"), "average-bits", "w5a8"),
        (("8@apot", "4@apot"), "average-bits", "5@apot"),
    ],
)
def test_it_is_compared_with_bits_of_what_the_choices_round(texts, kind, uniform):
    choices, wanted = ([QuantSpec.parse(one, keep="none") for one in some] for some in (texts, [uniform]))
    budget = costs(kind, costs(kind, 1).of_spec(wanted[0]))
    assert propose(budget, choices, np.zeros((4, len(texts), 1))).uniform == wanted[0]


def test_it_says_when_it_is_what_uniform_bits_are():
    """Uniform 4 bits: 8 bits at both ends, where they cost little harm, and 4 elsewhere."""
    ends, inside = [0.0, 9, 9], [1.0, 1, 9]
    wanted = np.array([{"stem": ends, "head": ends}.get(unit, inside) for unit in UNITS])[:, :, None]
    of_four = costs("bops", 1).of_spec(QuantSpec.parse("4"))
    assert propose(costs("bops", of_four), CHOICES, wanted).is_uniform
    assert not propose(costs("bops", of_four), CHOICES, wanted[::-1] * 0 + wanted[1]).is_uniform


def test_a_divergence_that_is_not_finite_is_the_worst():
    harm = np.zeros((4, 3, 1))
    harm[1, 1:] = np.nan
    harm[2, 1:] = np.inf
    found = propose(costs("average-bits", 7.9), CHOICES, harm)
    assert found.by_unit["a"] == found.by_unit["c"] == CHOICES[0]


def test_budgets():
    assert parse_budget(None, None) is None
    assert parse_budget("8.5", None) == ("bops", 8.5)
    assert parse_budget("w4a8-bit", None) == ("bops", QuantSpec.parse("w4a8"))
    assert parse_budget(None, 4.5) == ("average-bits", 4.5)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"bops": "4-bit", "average_bits": 4.0}, "both a budget"),
        ({"bops": "much"}, "expected GBOPs"),
        ({"bops": "-3"}, "got '-3'"),
        ({"bops": "9-bit"}, "2 to 8 bits"),
        ({"average_bits": 0.0}, "expected a number above 0"),
        ({"bops": "4-bit", "layers": ("a",)}, "a proposal needs all layers"),
        ({"bits": "fp"}, "expected lower bits"),
        ({"choices": ("8", "fp")}, "expected lower bits"),
        ({"choices": ("9",)}, "2 to 8 bits"),
        ({"modes": ("two",)}, "unknown value of --mode 'two'"),
        ({"whats": ("biases",)}, "unknown value of --what"),
        ({"solver": "magic"}, "unknown value of --solver"),
    ],
)
def test_what_cannot_be_asked(changes, pattern):
    with pytest.raises(UsageError, match=pattern):
        Options(**changes)


def test_a_budget_out_of_reach_names_what_is():
    with pytest.raises(UsageError, match=r"--average-bits: expected at least 4, .* choices 8, 4, w4a8"):
        propose(costs("average-bits", 3.0), CHOICES, np.zeros((4, 3, 1)))


def test_bits_that_are_not_lower_are_refused():
    """Some of what is switched has fewer bits, and nothing has more."""
    for own, bits, what in (
        ("4", "8", "both"),
        ("4", "4@apot", "both"),
        ("4", "w3a8", "both"),
        ("4", "w3", "acts"),
        ("w4a8", "4", "weights"),
    ):
        with pytest.raises(UsageError, match=r"^--bits: expected lower bits than the cell's "):
            Options(bits=bits, whats=(what,)).lower(QuantSpec.parse(own))
    for own, bits, what in (
        ("fp", "8", "both"),
        ("w4a8", "4", "both"),
        ("4", "w3", "weights"),
        ("w4", "4", "both"),
    ):
        assert Options(bits=bits, whats=(what,)).lower(QuantSpec.parse(own)).weight_bits == int(bits[-1])


def test_lower_bits_by_default():
    assert Options().lower(QuantSpec()) == QuantSpec.parse("4")
    own = QuantSpec.parse("w4a8@apot", keep="first", layer_bits="a=8")
    assert Options().lower(own) == QuantSpec.parse("w3a7@apot", keep="none")
    assert str(Options(bits="3").lower(own)) == "3@apot"
    assert str(Options(bits="3@minmax").lower(own)) == "3@minmax"
    assert Options().lower(QuantSpec.parse("w4")) == QuantSpec.parse("w3", keep="none")
    with pytest.raises(UsageError, match="there are no lower ones"):
        Options().lower(QuantSpec.parse("2"))
