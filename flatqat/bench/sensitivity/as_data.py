"""What a command found as plain values: for the results folder, and as JSON and CSV."""

import csv as csv_format
import io
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flatqat.bench.cell.environment import environment
from flatqat.bench.records.escape import csv
from flatqat.bench.sensitivity.differences import LayerChanges, RankAgreement, interval
from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.run import CheckedProposal, Found
from flatqat.metrics.estimate import Estimate
from flatqat.quant.layer_cost import LayerCost
from flatqat.spec.reading import to_plain

COLUMNS = ("mode", "what", "bits", "layer", "macs", "weights", "on", "delta", "low", "high", "p", "images")


def as_data(found: Found, threads: int) -> dict[str, Any]:
    """Return everything that a command found, and how."""
    opened, cell = found.opened, found.opened.record.cell
    return {
        "cell": cell.label,
        "bits": str(found.bits),
        "protocol": {
            **opened.kept.protocol,
            "suite": opened.record.protocol.suite,
            "options": asdict(found.options),
            "reported": [_set(one) for one in found.sets],
            "test_images_split": found.splits,
            "intervals": "95%, over images alone: they speak of this training",
            "environment": to_plain(environment(opened.switches.model.mean.device, threads)),
        },
        "sweeps": [
            {
                "mode": sweep.mode,
                "what": sweep.form.what,
                "base": {on: _estimate(one) for on, one in table.base.items()},
                "layers": [_row(found, table, place) for place in range(len(table.networks))],
                "agreement": _agreement(agreed),
            }
            for sweep, (table, agreed) in found.sweeps.items()
        ],
        "proposal": None if found.checked is None else _proposal(found.checked),
    }


def as_csv(found: Found) -> str:
    """Return a line for each layer and each of ID, OOD and the families."""
    text = io.StringIO()
    lines = csv_format.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for sweep, (table, _) in found.sweeps.items():
        for place, unit in enumerate(table.networks):
            cost = cost_of(found, unit)
            for on, deltas in table.deltas.items():
                texts = map(csv, (sweep.mode, sweep.form.what, str(found.bits), unit))
                numbers = _estimate(deltas[place]).values()
                lines.writerow((*texts, cost.macs, cost.weights, csv(on), *numbers))
    return text.getvalue()


def cost_of(found: Found, unit: str) -> LayerCost:
    """Return what the layers of a unit cost together."""
    layers = [found.opened.costs[name] for name in found.opened.switches.units[unit]]
    return LayerCost(macs=sum(one.macs for one in layers), weights=sum(one.weights for one in layers))


def _row(found: Found, table: LayerChanges, place: int) -> dict[str, Any]:
    unit = table.networks[place]
    cost = cost_of(found, unit)
    return {
        "layer": unit,
        "layers": list(found.opened.switches.units[unit]),
        "macs": cost.macs,
        "weights": cost.weights,
        "delta": {on: _estimate(deltas[place]) for on, deltas in table.deltas.items()},
    }


def _estimate(one: Estimate) -> dict[str, float | None]:
    """Return the numbers of an estimate, None where mIoU is not defined on these images."""
    if not math.isfinite(one.value + one.stderr):
        return dict.fromkeys(("value", "low", "high", "p")) | {"images": one.images}
    return {"value": one.value, "low": one.low, "high": one.high, "p": one.p, "images": one.images}


def _set(one: ImageSet) -> dict[str, Any]:
    return {"name": one.name, "family": one.family, "image_set": one.image_set, "images": len(one.data)}


def _agreement(agreed: RankAgreement | None) -> dict[str, Any] | None:
    if agreed is None:
        return None
    low, high = interval(agreed.same)
    rho = agreed.same
    return {
        "unit": "layers",
        "layers": rho.rows,
        "rho": {"value": rho.rho, "low": low, "high": high, "p": rho.p},
        "rho_on_different_halves": agreed.apart,
        "reliability_of_OOD": agreed.reliability,
    }


def _proposal(checked: CheckedProposal) -> dict[str, Any]:
    proposal, budget = checked.proposal, checked.budget
    return {
        "budget": {"kind": budget.kind, "value": budget.value},
        "choices": [str(spec) for spec in checked.choices],
        "chosen_on": [_set(one) for one in checked.choosing],
        "bits": str(proposal.spec),
        "layer_bits": proposal.spec.layer_bits_text,
        "by_layer": {unit: str(spec) for unit, spec in proposal.by_unit.items()},
        "cost": proposal.cost,
        "harm": proposal.harm,
        "harm_measured_on_id": checked.divergence,
        "uniform": {"bits": str(proposal.uniform), "keep": proposal.uniform.keep_text or "first,last"},
        "uniform_cost": proposal.uniform_cost,
        "is_uniform": proposal.is_uniform,
        "against_reference": _whole(checked.against_reference),
        "against_uniform": _whole(checked.against_uniform),
    }


def _whole(table: LayerChanges | None) -> Mapping[str, Any] | None:
    if table is None:
        return None
    return {
        name: {on: _estimate(deltas[place]) for on, deltas in table.deltas.items()}
        for place, name in enumerate(table.networks)
    }
