"""What tests of the command line share."""

import re
from types import SimpleNamespace


def assert_one_line_error(done: SimpleNamespace, pattern: str) -> None:
    assert done.code == 2
    assert re.search(pattern, done.err), done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
