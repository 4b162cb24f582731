"""The marks behind the names of methods, and the notes that explain them."""

from collections.abc import Iterable, Mapping

from flatqat.console.printable import printable

ONE_SEED, FLOATING, NO_OUTCOMES = "†", "‡", "§"
LEAST_FLOATING = 1.0  # percent of the weights, below which a share in floating point is not marked

INTERVAL = "±: half of the 95% interval over seeds and images together."
THESE_RUNS = (
    "±: half of the 95% interval over images, for these training runs alone: there is one seed. A second "
    "training may differ by more, so nothing here is named better or worse."
)
ONE_SEED_NOTE = (
    f"{ONE_SEED}: from one seed: ± and interval are over images, for that training run alone. A second "
    "training may differ by more, so this one is named neither better nor worse."
)

NO_SCATTER = "No ± at 0.0 or 100.0: all images agree, so that the variance cannot be estimated."


def floating_text(share: float | None, layers: int) -> str:
    """Return how much of a quantized network's weights is in floating point; empty if next to nothing is."""
    if share is not None and share == share:
        return f"{share:.0f}%" if share >= LEAST_FLOATING else ""
    return f"{layers:.0f} tensor{'s' * (layers > 1)}" if layers else ""


def floating_note(of_methods: Mapping[str, str]) -> list[str]:
    """Return the note on methods with such weights, by method how much of them."""
    shares = [f"{printable(method)}: {share}" for method, share in of_methods.items()]
    return [f"{FLOATING}: weights that stay in floating point: {', '.join(shares)}."] if shares else []


def no_outcomes_note(methods: Iterable[str]) -> list[str]:
    """Return the note on methods without stored outcomes."""
    names = ", ".join(dict.fromkeys(methods))
    note = (
        f"{NO_OUTCOMES}: no errors, since not all outcomes of its images are stored (the .npz file beside "
        "each record); an extra gap is that of the seeds that have them"
    )
    return [f"{note}: {names}."] if names else []
