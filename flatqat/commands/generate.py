"""Write the corrupted images of a suite that reads them from disk."""

from pathlib import Path

from flatqat import registry
from flatqat.bench.cell.environment import prepare
from flatqat.console.progress import progress_for
from flatqat.console.terminal import terminal
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.errors import UsageError, unknown
from flatqat.suite import Suite


def generate_suite(
    name: str,
    source: Path,
    to: Path,
    corruptions: tuple[str, ...],
    severities: tuple[int, ...],
    threads: int,
    workers: int,
) -> str:
    """Write the images, with progress on stderr, and return a line that says what the folder holds.

    Raises UsageError if the suite cannot be generated or a corruption is unknown.
    """
    import torch

    from flatqat.data.corruptions.generate import generate

    suite: Suite = registry.load(registry.SUITES, name)
    if suite.corruptible is None:
        able = [n for n in registry.names(registry.SUITES) if registry.load(registry.SUITES, n).corruptible]
        raise UsageError(f"suite {name!r} cannot be generated: expected one of {', '.join(able)}")
    for corruption in corruptions:
        if corruption not in NAMES:
            raise unknown("corruption", corruption, NAMES)
    prepare(torch.device("cpu"), threads)
    data, names = suite.corruptible(source)
    progress = progress_for(terminal(stderr=True))
    folders = [(c, s) for c in corruptions or NAMES for s in severities or SEVERITIES]
    with progress.task(f"{len(folders)} folders of {len(data)} images", len(folders) * len(data)) as advance:
        for corruption, severity in folders:
            generate(
                data,
                names,
                to,
                corruption=corruption,
                severity=severity,
                table="imagenet",
                workers=workers,
                advance=advance,
            )
    return f"{to}: {len(folders)} folders of {len(data)} images each, with their hashes"
