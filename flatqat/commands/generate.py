"""Write the corrupted images of a suite that reads them from disk."""

from functools import partial
from itertools import product
from pathlib import Path

from flatqat import registry
from flatqat.bench.cell.environment import prepare
from flatqat.console.progress import progress_for
from flatqat.console.terminal import terminal
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.errors import UsageError, choose, counted
from flatqat.suite import Suite


def generate_suite(
    name: str, source: Path, to: Path, corruptions: list[str], levels: list[int], threads: int, workers: int
) -> str:
    """Write the images; returns a line that says what the folder holds. Raises UsageError on wrong names."""
    import torch

    from flatqat.data.corruptions.generate import generate

    suite: Suite = registry.load(registry.SUITES, name)
    if suite.corruptible is None:
        able = [n for n in registry.names(registry.SUITES) if registry.load(registry.SUITES, n).corruptible]
        raise UsageError(f"suite {name!r} cannot be generated: expected one of {', '.join(able)}")
    clean, made = source.resolve(), to.resolve()
    if clean in (made, *made.parents) or made in clean.parents:
        apart = "expected a folder beside that of the clean images, neither within the other"
        raise UsageError(f"--to: {apart}, got {to} and --from {source}; choose another --to")
    for corruption in corruptions:
        choose("corruption", corruption, NAMES)
    prepare(torch.device("cpu"), threads)
    data, names = suite.corruptible(source)
    folders = list(product(corruptions or NAMES, levels or SEVERITIES))
    title = f"{counted(len(folders), 'folder')} of {counted(len(data), 'image')}"
    with progress_for(terminal(stderr=True)).task(title, len(folders) * len(data)) as advance:
        write = partial(generate, data, names, to, table="imagenet", workers=workers, advance=advance)
        for corruption, severity in folders:
            write(corruption=corruption, severity=severity)
    return f"{to}: {title} each, with their hashes"
