"""The result of `flatqat sensitivity`, printed within 80 columns: a table of layers, and what it means."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flatqat.console.fitted import print_fitting
from flatqat.console.rounded import rounded, with_interval
from flatqat.console.terminal import plain_table, terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from flatqat.bench.sensitivity.differences import LayerChanges, RankAgreement
    from flatqat.bench.sensitivity.measure import LayerSweep
    from flatqat.bench.sensitivity.run import CheckedProposal, Found
    from flatqat.metrics.estimate import Estimate

WIDTH = 80
FEW = 4  # families that have room beside a name of 19 characters
LEAST_SHARE = 0.005
BUDGETS = {"bops": "GBOPs", "average-bits": "bits of the mean weight"}


def show(found: "Found") -> None:
    """Print the tables of all sweeps, and the proposal if there is one."""
    console = terminal()
    if len({s.family for s in found.sets}) <= FEW + 1:  # with ID
        console.width = min(console.width, WIDTH)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style)

    for sweep, (table, agreed) in found.sweeps.items():
        say(f"{found.opened.record.cell.label}: {_what(found, sweep)}", "bold")
        _print_layers(found, table, console)
        for note in (*_notes(found, sweep, table), *_agreement(agreed)):
            say(note, "dim")
        say("")
    if found.checked is not None:
        for line in _proposal(found, found.checked):
            console.print(line, soft_wrap=line.startswith(" "))  # to be copied
        if found.checked.against_reference is not None:
            console.print(_check(found.checked))
            say(_verdict(found.checked))


def _what(found: "Found", sweep: "LayerSweep") -> str:
    part = {"both": "", "acts": " (activations only)", "weights": " (weights only)"}[sweep.form.what]
    if sweep.mode == "one":
        return f"one layer at {found.bits} bits{part}, compared with the cell as it is"
    return f"all layers at {found.bits} bits{part}, compared with all but one"


def _print_layers(found: "Found", table: "LayerChanges", console: "Console") -> None:
    from flatqat.bench.sensitivity.as_data import cost_of
    from flatqat.bench.sensitivity.differences import ID, OOD

    families = [on for on in table.deltas if on not in (ID, OOD)]
    columns = ("layer", "MACs", "ID", "OOD", *families)
    rows = []
    total = sum(cost.macs for cost in found.opened.costs.values()) or 1
    order = sorted(range(len(table.networks)), key=lambda place: table.deltas[OOD][place].value)
    for place in order:
        unit = table.networks[place]
        both = (_with_interval(table.deltas[on][place]) for on in (ID, OOD))
        each = (_marked(table.deltas[family][place]) for family in families)
        rows.append((unit, _share(cost_of(found, unit).macs / total), *both, *each))

    def table_of(kept: Sequence[int]) -> "Table":
        shown = plain_table(*(columns[at] for at in kept), left=("layer",), wrapped=("layer",))
        shown.padding = 0
        for row in rows:
            shown.add_row(*(row[at] for at in kept))
        return shown

    print_fitting(columns, [*((family,) for family in reversed(families)), ("MACs",)], table_of, console)


def _share(part: float) -> str:
    return f"{100 * part:.0f}%" if part >= LEAST_SHARE or not part else "<1%"


def _with_interval(one: "Estimate") -> str:
    value = rounded(one.value, "+.1f")
    return f"{value} ±{rounded(one.half_width())}" if one.stderr else f"{value}     "


def _marked(one: "Estimate") -> str:
    return f"{rounded(one.value, '+.1f')}{'*' if one.low > 0 or one.high < 0 else ' '}"


def _notes(found: "Found", sweep: "LayerSweep", table: "LayerChanges") -> list[str]:
    from flatqat.bench.sensitivity.differences import ID, OOD
    from flatqat.metrics.holm import holm
    from flatqat.metrics.metric import METRICS

    title = METRICS[found.opened.record.protocol.metric].title
    base = {"one": "The cell as it is", "all-but-one": f"All layers at {found.bits} bits"}[sweep.mode]
    images = ", ".join(f"{s.name} ({len(s.data)})" for s in found.sets)
    widths = sorted(one.half_width() for one in table.deltas[OOD])
    sure = sum(
        p < 0.05 and one.value < 0
        for p, one in zip(holm([one.p for one in table.deltas[OOD]]), table.deltas[OOD], strict=True)
    )
    split = " The images are those that never choose bits: one half of the test images." * found.splits
    return [
        f"Points of {title} by which lower bits of a layer change the score; most costly under shift first. "
        f"{base}: {rounded(table.base[ID].value)} ID, {rounded(table.base[OOD].value)} OOD. ±: half of the "
        "95% interval over images alone, which speaks of this training; *, in a column without ±: an "
        "interval without zero. Images: "
        f"{images}.{split}",
        f"{sure} of {len(table.networks)} layers cost accuracy under shift beyond doubt (Holm, 5%). The "
        f"median interval reaches ±{rounded(widths[len(widths) // 2])} points: what a layer costs below that "
        "is not seen.",
    ]


def _agreement(agreed: "RankAgreement | None") -> list[str]:
    from flatqat.bench.sensitivity.differences import interval

    if agreed is None:
        return []
    rho, (low, high) = agreed.same, interval(agreed.same)
    return [
        f"Layers that cost ID accuracy and layers that cost OOD accuracy: rank correlation over "
        f"{rho.rows} layers {with_interval(rho.rho, low, high, '+.2f')}. From different halves of the "
        f"images, which share no noise: {rounded(agreed.apart, '+.2f')}; OOD with itself: "
        f"{rounded(agreed.reliability, '+.2f')}."
    ]


def _proposal(found: "Found", checked: "CheckedProposal") -> list[str]:
    proposal, unit = checked.proposal, BUDGETS[checked.budget.kind]
    chosen = ", ".join(f"{s.name} ({len(s.data)})" for s in checked.choosing)
    own = f" --layer-bits {proposal.spec.layer_bits_text}" if proposal.spec.layer_bits else ""
    ends = " but the first and the last, which have 8," if proposal.uniform.keep else ""
    same = [f"It is what --bits {proposal.uniform}{' --keep none' * (not ends)} has without --layer-bits."]
    measured = "" if checked.divergence is None else f"; measured on id: {checked.divergence:.3g}"
    return [
        f"Proposed within {checked.budget.value:.4g} {unit}, by the least divergence of predictions on "
        f"{chosen} ({found.options.solver}; bits to choose from: {', '.join(map(str, checked.choices))}):",
        f"  --bits {proposal.spec}{own}",
        *(same if proposal.is_uniform else []),
        f"It costs {proposal.cost:.4g}; {proposal.uniform} bits in all layers{ends} cost "
        f"{proposal.uniform_cost:.4g}. Divergence as the sum over layers: {proposal.harm:.3g} nats"
        f"{measured}.",
    ]


def _check(found: "CheckedProposal") -> "Table":
    from flatqat.bench.sensitivity.differences import ID

    against, beside = found.against_reference, found.against_uniform
    assert against is not None
    assert beside is not None
    heads = ("reference", f"uniform {found.proposal.uniform}", "proposal", "proposal - uniform")
    shown = plain_table("points", *heads, left=("points",))
    for on, base in against.base.items():
        changes = (_with_interval(one) for one in (*against.deltas[on], *beside.deltas[on]))
        shown.add_row("ID" if on == ID else on, rounded(base.value), *changes)
    return shown


def _verdict(checked: "CheckedProposal") -> str:
    from flatqat.bench.sensitivity.differences import OOD

    assert checked.against_uniform is not None
    (one,) = checked.against_uniform.deltas[OOD]
    word = "better than" if one.low > 0 else "worse than" if one.high < 0 else "not told apart from"
    points = with_interval(one.value, one.low, one.high)
    return f"Under shift the proposal is {word} uniform bits: {points} points."
