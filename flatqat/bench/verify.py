"""Is the data there? Asked before training, by `--dry-run` and by `suites verify`."""

from flatqat.bench.plan import Job, Plan
from flatqat.errors import DataError


def check_data(plan: Plan, jobs: list[Job]) -> None:
    """Raise DataError with the first thing that is wrong with the data of any job's suite."""
    root = plan.request.data_root
    for suite in {job.suite.name: job.suite for job in jobs}.values():
        for finding in suite.verify(root):
            if not finding.ok:
                raise DataError(f"suite {suite.name}: {finding.what}; {finding.mend}")
