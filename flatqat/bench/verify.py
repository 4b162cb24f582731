"""Is the data there, and is it the data that stored cells were measured on? Asked before training."""

from flatqat.bench.plan import Job, Plan
from flatqat.bench.store import Store
from flatqat.errors import DataError


def check_data(plan: Plan, jobs: list[Job], store: Store) -> None:
    """Raise DataError with the first thing that is wrong with the data of any job's suite."""
    root = plan.request.data_root
    for suite in {job.suite.name: job.suite for job in jobs}.values():
        for finding in suite.verify(root):
            if not finding.ok:
                raise DataError(f"suite {suite.name}: {finding.what}; {finding.mend}")
        here = suite.shifts[0].build(root).fingerprint()
        for job in plan.scored():
            record = store.record(job.cell) if job.suite is suite and not plan.request.rerun else None
            there = record.protocol["data"] if record and record.status == "done" else here
            if there != here:
                raise DataError(
                    f"suite {suite.name}: expected the images that stored cells were measured on "
                    f"(fingerprint {there}), got others ({here}); use another --results, or --rerun"
                )
