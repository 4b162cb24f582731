"""The whole page: one file without a request to anywhere, the same bytes from the same store."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report.families import merged
from flatqat.bench.report.html import data
from flatqat.bench.report.html.cells import Pool
from flatqat.bench.report.html.gallery import MOST_BYTES
from flatqat.bench.report.html.section import block
from flatqat.bench.report.html.size import across_models
from flatqat.bench.report.pareto import panels_of
from flatqat.bench.study.provenance import folder_of
from flatqat.console.printable import printable

ASSETS = Path(__file__).parent


def as_html(stored: Sequence[Section], store: Store, against: str) -> str:
    """Return the page of all sections; which methods win is asked of those compared with `against`.

    The policy of its head lets a browser run the script of the page, named by its hash, and no other, and
    load nothing: so no text of a record is code, even if it were not escaped.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    every = [r for section in stored for row in (*section.rows.values(), section.problems) for r in row]
    pool, folder = Pool(), folder_of(store)
    pictured = sum(s.first.protocol.class_names != () for s in stored if s.rows)
    room = MOST_BYTES // max(1, pictured)
    found = [block(section, store, against, every, folder, pool, room) for section in merged(stored)]
    blocks = [shown for shown, _ in found]
    titles = {shown.section.title for shown in blocks}
    panels = panels_of([(shown.section, shown.rows) for shown in blocks if shown.rows])
    script = (ASSETS / "page.js").read_text("utf-8")
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["code"] = lambda text: Markup(as_code(printable(text)))
    environment.filters["printable"] = printable
    template = environment.from_string((ASSETS / "page.html").read_text("utf-8"))
    return template.render(
        folder=folder,
        against=against,
        blocks=blocks,
        sizes=[across_models(panel) for panel in panels if panel.title not in titles],
        style=Markup((ASSETS / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(data.as_script({"sections": [numbers for _, numbers in found], "pool": pool.values})),
    )


def as_code(text: str) -> str:
    """Return text as HTML, what is between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
