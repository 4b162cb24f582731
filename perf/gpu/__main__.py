"""Run the sections in turn; see `perf.gpu`."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from flatqat.bench.cell.environment import environment, prepare
from perf.gpu import equality, speed, work
from perf.gpu.command import command
from perf.gpu.ledger import Entry, Ledger, check, figure
from perf.gpu.setting import Setting

Section = Callable[[Setting], Iterator[Entry]]


def machine(on: Setting) -> Iterator[Entry]:
    """What runs, and that it computes float32 as float32."""
    prepare(on.device, 1)
    facts = environment(on.device, 1)
    yield figure(
        "machine", device=facts.device, python=facts.python, cuda=torch.version.cuda, **facts.packages
    )
    exact = not (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)
    yield check("float32 is not TF32", exact or not on.cuda)


SECTIONS: dict[str, Section] = {
    "machine": machine,
    "quantizers": equality.quantizers,
    "calibration": equality.calibration,
    "corruptions": equality.corruptions,
    "training": equality.training,
    "flatness": equality.flatness,
    "meters": equality.meters,
    "steps": speed.steps,
    "kernels": speed.kernels,
    "rounding": speed.rounding,
    "one pass": work.one_pass,
    "curvature": work.curvature,
    "rates": work.corruptions,
    "command": command,
    "compiled": speed.compiled,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m perf.gpu", description="What a CUDA device must do.")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true", help="every check on little work")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of gpu.json and gpu.md")
    parser.add_argument("--seconds", type=float, default=540, help="no section goes on after these")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    args = parser.parse_args()
    on = Setting(device=torch.device(args.device), tiny=args.tiny)
    ledger, end = Ledger(args.out), time.monotonic() + args.seconds
    for name in dict.fromkeys(("machine", *args.only)):
        began = time.monotonic()
        try:
            for entry in SECTIONS[name](on):
                ledger.add(name, entry)
                if time.monotonic() > end:
                    ledger.add(name, figure("stopped here: no time left"))
                    break
        except Exception as error:  # costs the other sections nothing
            traceback.print_exc()
            ledger.add(name, check("the section ran", False, error=repr(error)))
        if on.cuda:
            torch.cuda.empty_cache()
        ledger.add(name, figure("whole section", seconds=time.monotonic() - began))
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
