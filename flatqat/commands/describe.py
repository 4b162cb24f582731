"""Descriptions of suites, models and the machine, as lines of text."""

import platform
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from flatqat import __version__, registry
from flatqat.bench.cell.environment import OPTIONAL, REQUIRED, installed
from flatqat.errors import FlatqatError, UsageError, first_line
from flatqat.suite import Suite


def describe_suite(suite: Suite) -> str:
    """Return the lines of `flatqat suites show`: protocol, layout, shifts by family, recipes."""
    families = Counter(shift.family for shift in suite.shifts if shift.name != "id")
    severities = Counter(shift.name.partition("/")[0] for shift in suite.shifts if not shift.in_mean)
    aside = [f"{name} ({count})" if count > 1 else name for name, count in severities.items()]
    lines = [
        f"{suite.name} version {suite.version}: {suite.title}",
        f"task      {suite.task}, {suite.classes} classes, {suite.metric}",
        f"model     {suite.default_model} by default",
        f"protocol  {suite.protocol}",
        f"on disk   {suite.layout}",
        "shifts    id, " + ", ".join(f"{count} {family}" for family, count in families.items()),
    ]
    if aside:
        lines.append(f"          reported, but not in the mean: {', '.join(aside)}")
    if suite.targets:
        family = suite.family
        lines.append(f"targets   {', '.join(suite.targets)}; {family}@TARGET is one of them, {family} all")
    for name, recipe in suite.recipes.items():
        default = " (default)" if name == suite.default_recipe else ""
        shows = f"flatqat recipes show {name} --suite {suite.name}"
        lines.append(f"recipe    {name}{default}: {recipe.steps:,} steps; all values: {shows}")
    return "\n".join(lines)


def matching_models(pattern: str) -> tuple[list[str], list[str]]:
    """Return the full names, `source:name`, that match `pattern`, and why sources are left out.

    Raises UsageError if none matches.
    """
    full_pattern = pattern if ":" in pattern else f"{pattern}*"
    source_pattern = full_pattern.partition(":")[0]
    from flatqat.models.base import names_of

    found, left_out, looked_in = [], [], []
    for source in registry.names(registry.MODELS):
        if fnmatch(source, source_pattern):
            try:
                names = names_of(source)
            except FlatqatError as error:
                left_out.append(f"{source}: models left out, since {error}")
                continue
            looked_in.append(source)
            full_names = (f"{source}:{name}" if name else source for name in names)
            found += [full for full in full_names if fnmatch(full, full_pattern)]
    if not found:
        hint = f"expected SOURCE:NAME with a source among {', '.join(registry.names(registry.MODELS))}"
        if looked_in:
            hint = f"see all names of {looked_in[0]} with: flatqat models list '{looked_in[0]}:*'"
        raise UsageError("; ".join([f"no model matches {pattern!r}: {hint}", *left_out]))
    return found, left_out


COMPILED = "compiled for this processor"
NOT_COMPILED = "PyTorch operations, which are slower; compiled ones need a C++ compiler (c++, g++, clang++)"


def diagnosis(data_root: Path | None) -> Iterator[str]:
    """Yield the lines of `flatqat doctor`."""
    import torch

    from flatqat.quant.kernels.fused import kernels_on

    suites = registry.names(registry.SUITES)
    width = 2 + max(map(len, (*REQUIRED, *OPTIONAL, *suites)))
    yield f"flatqat {__version__}, python {platform.python_version()}, {platform.platform()}"
    for package in REQUIRED:
        yield f"{package:<{width}}{installed(package) or 'MISSING: reinstall flatqat'}"
    for package, extra in OPTIONAL.items():
        absent = f"not installed (optional): pip install 'flatqat[{extra}]'"
        yield f"{package:<{width}}{installed(package) or absent}"
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield f"{'CUDA':<{width}}{', '.join(cuda) or 'no device, everything runs on the CPU'}"
    fused = kernels_on("cpu") == "compiled"
    yield f"{'kernels':<{width}}{COMPILED if fused else NOT_COMPILED}"
    yield f"{'data root':<{width}}{data_root or 'not set: use --data-root DIR or FLATQAT_DATA_ROOT'}"
    for name in suites:
        yield f"{name:<{width}}{_state(name, data_root)}"


def _state(name: str, data_root: Path | None) -> str:
    """Return whether a suite's data can be used, with the first reason why not, or why it does not load."""
    try:
        findings = registry.load(registry.SUITES, name).findings(data_root)
    except FlatqatError as error:
        return f"broken: {first_line(error)}"
    fatal = [f"no data: {finding.what}" for finding in findings if finding.is_fatal]
    partial = [f"in part: {finding.what}" for finding in findings if finding.partial]
    return next(iter(fatal + partial), "data ok")
