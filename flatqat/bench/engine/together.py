"""Models of one suite that see the same batches, shift by shift, until their scores are stored."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from flatqat.bench.cell.batches import BATCH_SIZE, Batch, scoring_batch_size
from flatqat.bench.cell.determinism import Heard, listening
from flatqat.bench.cell.environment import environment
from flatqat.bench.cell.halving import again
from flatqat.bench.cell.restore import Which, channels_last_, restore
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.adapting import fitted, is_adapted
from flatqat.bench.engine.snapshots import Snapshots, snapshots_of
from flatqat.bench.engine.sweep import Stream, Sweep, tried
from flatqat.bench.engine.troubles import OF_ALL, Errors, Troubles
from flatqat.bench.plan.jobs import Job
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.reading import Reader, one_ahead
from flatqat.errors import DataError, StoreError
from flatqat.memory import out_of_memory
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights, quantize_weights
from flatqat.spec import EvalTransform
from flatqat.suite import Shift


class Together:
    """The models of some jobs of one suite, which see the same batches; one that fails drops out."""

    def __init__(self, jobs: list[Job], session: Session, troubles: Troubles) -> None:
        self.jobs, self.session, self.troubles = jobs, session, troubles
        self.models: dict[str, Normalized] = {}
        self.digests: dict[str, str] = {}  # of their weights
        self.lacked_memory: list[Job] = []
        """The jobs that may go through beside fewer others."""
        self.alone = len(jobs) == 1
        self.heard = Heard()
        self.env = environment(session.device, session.request.threads)

    def restore(self, which: Which = "selected") -> None:
        """Put the stored models of all jobs into memory, in place of others."""
        self.models.clear()
        store, device, say = self.session.store, self.session.device, self.session.progress.say
        for job in self.jobs:
            if not self.troubles.get(job) and job not in self.lacked_memory:
                with self._dropped_on_error(job, ends=(DataError,)):
                    self.digests[job.cell.id] = store.weights_digest(job.cell)
                    load = partial(restore, job.cell, job.suite, store, device, which=which)
                    model = again(load, f"load {job.title}", say) if self.alone else load()
                    self.models[job.cell.id] = channels_last_(model) if model.amp else model

    def has_scored(self, shift: Shift) -> bool:
        """Whether the scores of all jobs on a shift are stored, or never will be."""
        return not any(self._lacks(job, shift) for job in self.jobs if job not in self.lacked_memory)

    def _lacks(self, job: Job, shift: Shift) -> bool:
        """Whether a job has no scores and no record; in this order, since a new record removes scores."""
        return not (self.session.store.has_scores(job.cell, shift.name) or self.troubles.is_over(job))

    @torch.inference_mode()
    def score(self, shifts: Iterable[Shift], advance: Callable[[int], None] = lambda count: None) -> None:
        """Run the models on shifts, and store the scores that are not stored yet.

        While a shift is scored, threads make the first images of the next one and store the scores of the
        one before.
        """
        reader = Reader(self.session.device, self.session.request.workers)
        with (
            cached_weights(),
            reader,
            ThreadPoolExecutor(1) as writer,
            listening(reader.device) as self.heard,
        ):
            for job in self._running(self.jobs) if not self.alone else ():
                with self._dropped_on_error(job):
                    quantize_weights(self.models[job.cell.id])
            written: list[tuple[Job, Future[float | None]]] = []
            for sweep in one_ahead(self._begin(shift, reader) for shift in shifts):
                ran = sweep
                with self.troubles.catch(*sweep.jobs):
                    ran = self._run_in_memory(sweep, reader)
                    self._keep_seen(ran)
                self._check(written)
                written = [(job, writer.submit(self._write, job, ran)) for job in self._running(ran.jobs)]
                advance(1)
            self._check(written)

    def _begin(self, shift: Shift, reader: Reader, most: int = BATCH_SIZE) -> Sweep:
        """Begin to read a shift in batches of `most` images or less; errors are raised at its turn."""
        jobs = [job for job in self._running(self.jobs) if self._lacks(job, shift)]
        if self.alone:
            most = self.session.sizes.most(self._kind, most)
        meters = {
            job.cell.id: task_of(job.suite.task).meter(job.suite.classes, shift.class_subset, shift.groups)
            for job in jobs
        }
        odd: set[str] = set()
        with self.heard.into(odd):
            streams = tried(lambda: self._streams(shift, jobs, most) if jobs else [])
            batches = tried(lambda: [reader.batches(s.data.parts(s.size)) for s in streams()])
        return Sweep(
            shift=shift, jobs=jobs, meters=meters, streams=streams, batches=batches, odd_in_reading=odd
        )

    @property
    def _kind(self) -> str:
        """The kind of work that a batch size is remembered for: a network and images of one size."""
        job = self.jobs[0]
        return f"evaluation of {job.cell.model} on {job.suite.family}"

    def _streams(self, shift: Shift, jobs: list[Job], most: int) -> list[Stream]:
        request, device = self.session.request, self.session.device
        whole = shift.build(request.data_root)
        data = whole.sample(request.limit)
        by_transform: dict[EvalTransform | None, list[Job]] = {}
        for job in jobs:
            transform = self.models[job.cell.id].eval_transform if data.through_transform else None
            by_transform.setdefault(transform, []).append(job)
        streams = []
        for transform, members in by_transform.items():
            cropped = data.transformed(eval_crop(transform) if transform else None)
            usual = min(scoring_batch_size(cropped, device), len(cropped))
            shots = snapshots_of(shift, request.limit, len(whole), per_pixel=whole.per_pixel)
            streams.append(
                Stream(jobs=members, data=cropped, usual=usual, size=min(usual, most), snapshots=shots)
            )
        return streams

    def _run_in_memory(self, sweep: Sweep, reader: Reader) -> Sweep:
        """Run a sweep, or one with smaller batches where a model on its own lacks memory; returns it.

        If memory lacks beside several models, they are scored in smaller groups.
        """
        if not self.alone:
            try:
                self._run(sweep, reader)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                self._leave_to_smaller_groups(*self._running(sweep.jobs))
            return sweep

        begun = [sweep]

        def begin() -> Sweep:
            first = begun.pop() if begun else self._begin(sweep.shift, reader)
            first.streams()
            return first

        def run(size: int) -> Sweep:
            ran = first if size >= usual else self._begin(sweep.shift, reader, size)
            for stream, batches in zip(ran.streams(), ran.batches(), strict=True):
                self._score_all(stream, batches, ran)
            ran.odd[self.jobs[0].cell.id] |= first.odd[self.jobs[0].cell.id]  # of the fit
            return ran

        say, title = self.session.progress.say, f"{self._kind}, {sweep.shift.name},"
        first = again(begin, title, say)
        usual = max((stream.size for stream in first.streams()), default=1)
        with ExitStack() as fits:  # once, whatever batch size scoring ends up with

            def fit() -> None:
                for stream in first.streams():
                    fits.enter_context(self._fitted(stream, first, reader))

            again(fit, title, say)
            return self.session.sizes.halved(run, self._kind, usual, say)

    def _run(self, sweep: Sweep, reader: Reader) -> None:
        """Run the models once over the images, those that want the same crop side by side."""
        for stream, batches in zip(sweep.streams(), sweep.batches(), strict=True):
            with self._fitted(stream, sweep, reader):
                self._score_all(stream, batches, sweep)

    def _score_all(self, stream: Stream, batches: Iterator[Batch], sweep: Sweep) -> None:
        """Run the models of a stream once over its images."""
        with self.heard.into(sweep.odd_in_reading):
            for images, labels in batches:
                if not (running := self._running(stream.jobs)):
                    break
                stream.snapshots.begin(images, labels)
                for job in running:
                    self._score(job, images, labels, sweep, stream.snapshots)

    @contextmanager
    def _fitted(self, stream: Stream, sweep: Sweep, reader: Reader) -> Iterator[None]:
        """Within the context, the models of adapted cells are fitted to the images of a stream."""
        jobs = [job for job in self._running(stream.jobs) if is_adapted(job, sweep.shift)]
        guarded = partial(self._guarded, sweep=sweep)
        with fitted(jobs, self.models, stream.data, reader, guarded) if jobs else nullcontext():
            yield

    def _score(self, job: Job, images: Tensor, labels: Tensor, sweep: Sweep, shots: Snapshots) -> None:
        with self._guarded(job, sweep):
            logits = self.models[job.cell.id].predict(images)
            sweep.meters[job.cell.id].add(logits, labels)
            shots.add(job.cell.id, logits)

    @contextmanager
    def _guarded(self, job: Job, sweep: Sweep) -> Iterator[None]:
        """Note operators that do not repeat, and let an error cost this job alone if there are others."""
        guard = nullcontext() if self.alone else self._dropped_on_error(job)
        with guard, self.heard.into(sweep.odd[job.cell.id]):
            yield

    def _write(self, job: Job, sweep: Sweep) -> float | None:
        """Store the scores of a job on a shift; returns the suite's metric if the shift is `id`."""
        scores, outcomes = sweep.meters[job.cell.id].result()
        store, arrays = self.session.store, asdict(outcomes) | sweep.ids(job)
        log, pictures = replace(sweep.log(job), env=self.env), sweep.pictures(job)
        weights = self.digests[job.cell.id]
        store.write_scores(job.cell, sweep.shift.name, scores, arrays, log, pictures, weights)
        return scores[job.suite.metric].value if sweep.shift.name == "id" else None

    def _keep_seen(self, sweep: Sweep) -> None:
        """Store the images that predictions are pictured on, unless they are stored or no job was scored."""
        for stream in sweep.streams() if self._running(sweep.jobs) else ():
            shots, key, trouble = stream.snapshots, stream.jobs[0].suite.key, stream.snapshots.trouble
            try:
                if shots.seen:
                    self.session.store.pictures.add_seen(key, sweep.shift.name, shots.seen)
            except StoreError as error:  # no score depends on them
                trouble = str(error)
            if trouble:
                self.session.progress.say(f"pictures of {sweep.shift.name} are not kept: {trouble}")

    def _check(self, written: list[tuple[Job, Future[float | None]]]) -> None:
        """Wait until scores are stored; a job whose scores cannot be stored drops out."""
        for job, future in written:
            with self._dropped_on_error(job):
                if (known := future.result()) is not None:
                    self.session.progress.cell(job.cell.id, "trained", (known, None))

    def _running(self, jobs: list[Job]) -> list[Job]:
        return [job for job in jobs if job.cell.id in self.models and not self.troubles.get(job)]

    @contextmanager
    def _dropped_on_error(self, job: Job, ends: Errors = OF_ALL) -> Iterator[None]:
        """Leave an error to `troubles`; a job that lacks memory beside others is tried again later."""
        with self.troubles.catch(job, ends=ends):
            try:
                yield
            except Exception as error:
                if self.alone or not out_of_memory(error):
                    self.models.pop(job.cell.id, None)
                    raise
                self._leave_to_smaller_groups(job)

    def _leave_to_smaller_groups(self, *jobs: Job) -> None:
        for job in jobs:
            self.models.pop(job.cell.id, None)
            self.lacked_memory.append(job)
            self.session.progress.say(f"out of memory: {job.title} goes on beside fewer models")
