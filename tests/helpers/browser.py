"""A page in a real browser without a window: what its script made of it, and what the console said."""

import os
import re
import shutil
import signal
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
WATCH = """<script>
const said = [];
addEventListener("error", (event) => said.push(event.message));
addEventListener("securitypolicyviolation", (event) => said.push(event.violatedDirective));
for (const name of ["error", "warn"]) console[name] = (...words) => said.push(words.join(" "));
</script>"""
TELL = """<script>
addEventListener("load", async () => {
  const told = await (async () => { %s })();
  const node = document.createElement("pre");
  node.id = "told";
  node.textContent = JSON.stringify({ told: told ?? null, said });
  document.body.append(node);
});
</script>"""


def dom(page: str, folder: Path) -> str:
    """The document as it is after its scripts ran, opened from disk; skips where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium to open a page with")
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    options = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--virtual-time-budget=2000",
    )
    command = [CHROMIUM, *options, f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as browser:
        try:
            return browser.communicate(timeout=120)[0].decode()
        except subprocess.TimeoutExpired:
            os.killpg(browser.pid, signal.SIGKILL)  # its renderers, too, which would hold the pipe
            raise


def told(page: str, folder: Path, script: str) -> str:
    """What a script returns that runs in the page once it is loaded, and what the console said, as JSON.

    The policy of the page, which would stop that script, is taken out first.
    """
    watched = POLICY.sub("", page).replace("<head>", f"<head>{WATCH}", 1)
    after = dom(watched.replace("</body>", f"{TELL % script}</body>"), folder)
    (found,) = re.findall(r'<pre id="told">(.*?)</pre>', after, re.DOTALL)
    return unescape(found)
