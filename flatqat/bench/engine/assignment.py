"""The assignment of a process that shares a run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flatqat import registry
from flatqat.bench.cell.session import Lack
from flatqat.bench.plan.jobs import Plan
from flatqat.bench.plan.request import Request
from flatqat.errors import UsageError
from flatqat.spec import Space


@dataclass(frozen=True, slots=True)
class Assignment:
    """The request, the folder that its paths start from, the plugin files, and what each job lacks."""

    request: Request
    folder: Path
    plugins: list[Path]
    lacking: list[tuple[str, bool, tuple[Space, ...]]]

    @classmethod
    def of(cls, request: Request, todo: Sequence[Lack]) -> "Assignment":
        """Return the assignment of a worker."""
        lacking = [(lack.job.cell.id, lack.scores, lack.spaces) for lack in todo]
        bare = replace(request, plugins=())  # in `plugins` they have whole paths
        return cls(bare, Path.cwd(), registry.plugin_files(), lacking)

    def enter(self) -> None:
        """Go to the folder. Raises UsageError if this machine has none of this name."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            expected = f"expected the folder {self.folder} on every machine that takes part"
            raise UsageError(
                f"{expected}, got: {error.strerror}; start the run in a shared folder"
            ) from error

    def lacks_of(self, plan: Plan) -> list[Lack]:
        """Return what is to do. Raises UsageError if the same request plans other cells here."""
        jobs = {job.cell.id: job for job in plan.jobs}
        if others := [cell_id for cell_id, *_ in self.lacking if cell_id not in jobs]:
            expected = (
                "expected the cells of the process that started this one, with the same flatqat and code"
            )
            raise UsageError(f"{expected}, got others for {len(others)} of {len(self.lacking)}")
        return [Lack(job=jobs[cell_id], scores=s, spaces=spaces) for cell_id, s, spaces in self.lacking]
