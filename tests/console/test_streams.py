"""Output that cannot be written: no traceback, and no exit code that the gate or a run gives a meaning."""

import os
import subprocess
import sys

import pytest

from tests.helpers import RESULTS

FLATQAT = [sys.executable, "-m", "flatqat"]
AT = ["--results", str(RESULTS / "first-look")]
CHECK = ["bench", "check", *AT, "--baseline", str(RESULTS / "baselines" / "digits-c.json")]
COMMANDS = {
    "help": ["--help"],
    "help of a command": ["bench", "run", "--help"],
    "list": ["suites", "list"],
    "table": ["bench", "report", *AT],
    "text": ["bench", "report", *AT, "--format", "csv"],
    "gate": CHECK,
}
full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


def run(args: list[str], **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FLATQAT, *args], text=True, check=False, **streams)


@full_device
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_said_with_exit_code_two(name):
    with open("/dev/full", "w") as full:
        done = run(COMMANDS[name], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: cannot write to standard output: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_cut_off_is_no_success(tmp_path, unbuffered):
    """A limit on the size of files lets a part of a write through, as a disk does that fills up."""
    command = 'ulimit -f 1; exec "$0" "$@" > cut.csv'
    done = subprocess.run(
        [
            "bash",
            "-c",
            command,
            *FLATQAT,
            "bench",
            "report",
            "--results",
            RESULTS / "first-look",
            "--format",
            "csv",
        ],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: cannot write to standard output: File too large"


SECOND_INTERRUPT = """
import atexit, os, signal, sys
from flatqat import cli

def interrupted(**_):
    raise KeyboardInterrupt

atexit.register(os.kill, os.getpid(), signal.SIGINT)
cli.app = interrupted
cli.main()
"""


def test_a_second_interrupt_shows_no_traceback():
    done = subprocess.run(
        [sys.executable, "-c", SECOND_INTERRUPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_pipe_ends_the_command_silently(name):
    read, write = os.pipe()
    os.close(read)
    done = run(COMMANDS[name], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@full_device
@pytest.mark.parametrize(("args", "code"), [(["suites", "list"], 0), (["suites", "show", "x"], 2)])
def test_what_standard_error_does_not_take_is_lost(args, code):
    with open("/dev/full", "w") as full:
        assert run(args, stdout=subprocess.DEVNULL, stderr=full).returncode == code


@pytest.mark.parametrize(
    ("args", "code"), [(["suites", "list"], 0), (CHECK, 0), (["suites", "show", "x"], 2)]
)
def test_closed_streams_take_everything(args, code):
    command = 'exec "$0" "$@" >&- 2>&-'
    done = subprocess.run(["sh", "-c", command, *FLATQAT, *args], check=False)
    assert done.returncode == code
