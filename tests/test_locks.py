"""One process at a time in a folder."""

import os
import time

from flatqat.locks import only_one


def test_processes_take_turns(tmp_path):
    folder, path = tmp_path / "made", tmp_path / "log"
    children = []
    for number in range(3):
        pid = os.fork()
        if not pid:
            try:
                with only_one(folder):
                    for word in ("in", "out"):
                        with path.open("a") as file:
                            file.write(f"{number} {word}\n")
                        time.sleep(0.05)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    lines = [line.split() for line in path.read_text().splitlines()]
    assert len(lines) == 6
    assert [word for _, word in lines] == ["in", "out"] * 3
    assert [number for number, _ in lines[::2]] == [number for number, _ in lines[1::2]]
    assert not [*folder.iterdir()], "nothing is left behind"
