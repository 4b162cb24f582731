"""Sixteen equal commands, and workers that are killed at random: nothing is done twice, lost or left over."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from tests.helpers import TOY
from tests.helpers.running import run_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
METHODS, SEEDS = ("fp", "ptq", "qat", "sam"), 6
CROWD, WORKERS, KILLS = 16, 4, 200
LONGEST_LIFE, MOST_STEPS = 2.0, 300
TOUCHING = {"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.utime"}


def request(results: Path) -> Request:
    return Request(suites=("toy",), methods=METHODS, bits=("3",), seeds=tuple(range(SEEDS)), results=results)


def contents(results: Path) -> dict[str, bytes | str]:
    """Every file by its path; of records, the report, since they have times in them."""
    files = {str(path.relative_to(results)): path for path in results.rglob("*") if path.is_file()}
    found = {
        name: path.read_bytes() for name, path in files.items() if not name.endswith((".json", "tensors"))
    }
    return {**dict.fromkeys(files, b""), **found, "report": render(Store(results), None, "csv", "shift")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, bytes | str]:
    """What one process writes."""
    registry.add_plugin(TOY)
    folder = tmp_path_factory.mktemp("alone")
    run_plan(make_plan(request(folder)))
    return contents(folder)


def test_sixteen_equal_commands_do_everything_once(tmp_path, alone):
    command = [
        sys.executable,
        "-m",
        "flatqat",
        "bench",
        "run",
        "--plugin",
        TOY,
        "--suite",
        "toy",
        "--jobs",
        "1",
    ]
    command += [
        "--method",
        ",".join(METHODS),
        "--bits",
        "3",
        "--seeds",
        str(SEEDS),
        "--results",
        tmp_path / "r",
    ]
    runs = []
    for number in range(CROWD):
        with open(tmp_path / str(number), "w") as said:
            runs.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said))
    assert [run.wait() for run in runs] == [0] * CROWD
    said = [(tmp_path / str(number)).read_text() for number in range(CROWD)]
    done = Counter(re.findall(r"^(train .*|flatness .*): [\d.]+ s$", "\n".join(said), re.MULTILINE))
    assert set(done.values()) == {1}
    kinds = Counter(what.split()[0] for what in done)
    assert kinds == {"train": SEEDS * (1 + len(METHODS)), "flatness": SEEDS * len(METHODS)}
    print(f"of {CROWD} commands {sum('train ' in text for text in said)} trained something")
    assert contents(tmp_path / "r") == alone


def dies_at(step: int, folder: Path) -> None:
    """Let this process be killed right before it opens, renames or removes its next file but `step`."""
    left = [step]

    def look(event: str, args: tuple[object, ...]) -> None:
        if event in TOUCHING and str(folder) in str(args[0]):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def worker(results: Path, last_step: int | None) -> int:
    """A process that takes part, perhaps until it has touched so many files; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if last_step is not None:
            dies_at(last_step, results)
        code = 0 if {record.status for record in run_plan(make_plan(request(results)))} == {"done"} else 3
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def test_two_hundred_kills_cost_time_alone(tmp_path, alone):
    """Each worker is killed after a random time or while it writes, and replaced by another one.

    Where all is done before the last kill, a new folder is begun.
    """
    rng, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS:
        folder, codes = tmp_path / str(rounds), []
        ends: dict[int, float] = {}
        while ends or codes[-1:] != [0]:
            while kills < KILLS and len(ends) < WORKERS and 0 not in codes:
                writes = rng.random() < 0.5
                life = 60 if writes else rng.uniform(0.02, LONGEST_LIFE)
                pid = worker(folder, rng.randrange(MOST_STEPS) if writes else None)
                ends[pid] = time.monotonic() + life
            if not ends:  # the last one was killed: one more does what is left
                ends[worker(folder, None)] = float("inf")
            time.sleep(0.005)
            for pid, end in list(ends.items()):
                if kills < KILLS and time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del ends[pid]
                    codes.append(os.waitstatus_to_exitcode(status))
                    kills += codes[-1] == -signal.SIGKILL
        assert set(codes) <= {0, -signal.SIGKILL}
        # One may have been killed after the last one that finished had looked whether it was alone.
        assert os.waitstatus_to_exitcode(os.waitpid(worker(folder, None), 0)[1]) == 0
        found = contents(folder)
        assert sorted(found.keys() - alone.keys()) == []
        assert found == alone
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
        rounds += 1
    print(f"{kills} kills in {rounds} folders")
