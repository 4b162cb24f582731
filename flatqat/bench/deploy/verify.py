"""An exported file beside the cell that it was made from, on the same images; kept in the cell's record."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flatqat.bench.cell.environment import RECORDED, choose_device, installed, prepare
from flatqat.bench.cell.restore import blank
from flatqat.bench.cell.same_images import check_same_images
from flatqat.bench.cell.trusted import trusted_model
from flatqat.bench.deploy.cell import Deployable, deployable
from flatqat.bench.deploy.codes import CodeComparison, CodesByLayer, codes_of_cell, codes_of_file
from flatqat.bench.deploy.control import control
from flatqat.bench.deploy.exported_file import ExportedFile, read_exported
from flatqat.bench.deploy.latency import latency_of
from flatqat.bench.deploy.runtime import Loaded, check_installed, load, network
from flatqat.bench.deploy.summary import summed_up
from flatqat.bench.deploy.sweep import SideBySide, Swept, first_window
from flatqat.bench.records.deployments import with_deployment
from flatqat.bench.records.store import Store
from flatqat.bench.records.writable import check_writable
from flatqat.console.progress import Progress
from flatqat.errors import DataError, StoreError, UsageError
from flatqat.metrics.task import task_of
from flatqat.quant.apply import quantizers
from flatqat.spec import Cell, Deployment, FileRun, Latency, Record
from flatqat.suite import Shift

if TYPE_CHECKING:
    from flatqat.bench.deploy.exact import InFloat64

PLAIN, OPTIMIZED, CONTROL = "plain", "optimized", "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The options of `flatqat export verify`.

    Attributes:
        file: The exported file.
        runtime: What runs it.
        limit: The most images of each set; None for those that the cell was scored on.
        threads: CPU threads of the runtime and of torch.
        workers: Threads that decode images.
        code_images: On how many images of each set codes are compared.
        exact_images: On how many images of each set both compute in float64, too.
        latency: Whether to measure how long an image takes.
        models: The models whose own code may run, see `trusted_model`.
    """

    file: Path
    runtime: str = "onnxruntime"
    limit: int | None = None
    threads: int = 1
    workers: int = 0
    code_images: int = 2
    exact_images: int = 1
    latency: bool = False
    models: tuple[str, ...] = ()


def verify_cell(
    name: str, results: Path, data_root: Path | None, options: VerifyOptions, progress: Progress
) -> Record:
    """Compare an exported file with its cell on all sets; returns the record with the outcome as `deployed`.

    The outcome is stored, see `with_deployment`, and what is not is said. Nothing is written unless all
    went well. Raises UsageError on a cell in full precision, on a file that is not of this cell, on a runtime
    that is unknown, missing or cannot run it, and on a limit above the cell's; StoreError or DataError if
    weights or images are gone.
    """
    check_installed(options.runtime)
    prepare(choose_device("cpu"), options.threads)
    cell = deployable(name, results, options.models)
    limit = _limit(options, cell.record.cell)
    file, suite = read_exported(options.file, cell), cell.suite
    for finding in suite.findings(data_root):
        if finding.is_fatal:
            raise DataError(f"suite {suite.name}: {finding.what}; {finding.fix}")
    store = Store(results)
    check_writable(results)
    check_same_images(suite.on_disk(data_root), data_root, store)
    exact = None
    if options.exact_images:
        from flatqat.bench.deploy.exact import InFloat64

        # a second network, since it is changed
        exact = InFloat64(deployable(name, results, options.models).model, file)
    found = _Comparison(cell, file, options, exact).deployment(data_root, limit, progress)
    said = _store(found, cell.record, store)
    if said:
        progress.say(said)
    return replace(cell.record, deployed=found)


class _Comparison:
    """A cell, and the runs of its file with what they are loaded from."""

    def __init__(
        self, cell: Deployable, file: ExportedFile, options: VerifyOptions, exact: "InFloat64 | None"
    ) -> None:
        self.cell, self.file, self.options, self.exact = cell, file, options, exact
        self.graphs = {run: self._load(file.data, run) for run in (PLAIN, OPTIMIZED)}
        self.runs = {run: network(graph) for run, graph in self.graphs.items()}
        self.runs[CONTROL] = control(cell.model)
        self.codes = {run: CodeComparison() for run in self.runs}
        self.codes_of: dict[str, Callable[[Tensor], CodesByLayer]] = {}
        if options.code_images:
            inputs = [layer for layer, quantizer in quantizers(cell.model.net) if quantizer.role == "input"]
            graph, layers = file.with_codes(inputs)
            self.codes_of = {run: codes_of_file(self._load(graph, run), layers) for run in self.graphs}
            self.codes_of[CONTROL] = codes_of_cell(cell.model, self.runs[CONTROL])

    def _load(self, graph: bytes, run: str) -> Loaded:
        name, threads, optimized = self.options.runtime, self.options.threads, run == OPTIMIZED
        return load(name, graph, optimized=optimized, threads=threads, batch=self.file.batch)

    def deployment(self, root: Path | None, limit: int | None, progress: Progress) -> Deployment:
        """Run all on all sets, and return what came out."""
        options, record, model = self.options, self.cell.record, self.cell.model
        suite, scored = self.cell.suite.on_disk(root), record.scores
        sweep = SideBySide(suite, model, self.runs, root=root, limit=limit, workers=options.workers)
        shifts = [s for s in suite.shifts if s.name in scored and s.weights == "selected"]
        every = {s.name: scored[s.name]["nll"].n for s in shifts}
        counts = {name: min(n, limit or n) for name, n in every.items()}
        limit = record.cell.limit if counts == every else limit
        with progress.task(f"verify {record.cell.label}", sum(counts.values())) as advance:
            swept = sweep.each(shifts, self._look, advance, counts)
        return Deployment(
            file=options.file.name,
            sha256=self.file.sha256,
            bytes=len(self.file.data),
            runtime=options.runtime,
            packages={package: installed(package) for package in (*RECORDED, options.runtime)},
            device=f"cpu ({platform.machine()})",
            threads=options.threads,
            limit=limit,
            plain=self._summed_up(PLAIN, swept),
            optimized=self._summed_up(OPTIMIZED, swept),
            control=replace(self._summed_up(CONTROL, swept), shifts={}),
            exact=self.exact.result() if self.exact else None,
            moved=_moved(record, swept) if limit == record.cell.limit else 0,
            latency=self._latency(sweep, shifts[0]) if options.latency else None,
            note=self.graphs[OPTIMIZED].note(),
        )

    def _look(self, images: Tensor) -> None:
        """Compare the codes of the first images of a set, and both in float64."""
        model = self.cell.model
        if self.exact:
            self.exact.add(first_window(model, images[: self.options.exact_images]))
        images = images[: self.options.code_images]
        if self.codes_of:
            some = first_window(model, images)
            expected = codes_of_cell(model, model)(some)
            for run, codes in self.codes_of.items():
                self.codes[run].add(expected, codes(some), len(some))

    def _summed_up(self, run: str, swept: Mapping[str, Swept]) -> FileRun:
        seen = {shift: of_set.seen[run] for shift, of_set in swept.items()}
        codes = self.codes[run].result() if self.codes_of else None
        return summed_up(seen, self.cell.record.protocol.shifts, task_of(self.cell.suite.task).metric, codes)

    def _latency(self, sweep: SideBySide, shift: Shift) -> Latency:
        """Return how long the first image of a set takes in the file, and without quantization in torch.

        A file that takes a fixed number of images gets as many, and so does the other network.
        """
        cell = self.cell.record.cell
        image = first_window(self.cell.model, sweep.images(shift).batch(torch.arange(1))[0])
        floating = blank(
            cell, self.cell.suite, model=trusted_model(cell, self.cell.suite, self.options.models)
        )
        images = image.repeat(self.file.batch or 1, 1, 1, 1)
        return latency_of(self.runs[OPTIMIZED], floating.eval(), images)


def _limit(options: VerifyOptions, cell: Cell) -> int | None:
    if options.limit and cell.limit and options.limit > cell.limit:
        expected = f"expected at most {cell.limit}, the images of a set that the cell was scored on"
        raise UsageError(f"--limit: {expected}, got {options.limit}")
    return options.limit or cell.limit


def _moved(record: Record, swept: Mapping[str, Swept]) -> int:
    """Return on how many sets the scores of the cell are not those of its record."""
    return sum(
        any(score != record.scores[shift].get(name, score) for name, score in of_set.scores.items())
        for shift, of_set in swept.items()
    )


def _store(deployment: Deployment, record: Record, store: Store) -> str:
    """Write a deployment into the record as it is now; returns what to say of it.

    Raises StoreError if the cell was run again since.
    """
    with store.claims() as claims, store.locked(record.cell, claims) as now:
        if now is None or now.status != "done" or now.outcomes_sha256 != record.outcomes_sha256:
            problem = "expected the record that the file was compared with, got another or none"
            raise StoreError(f"cell {record.cell.label}: {problem}; verify it again")
        kept, said = with_deployment(now, deployment)
        if kept != now:
            store.write_record(kept)
    return said
