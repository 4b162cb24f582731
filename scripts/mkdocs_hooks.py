"""Hooks of the documentation site: pages whose sources lie outside docs/, and links that leave it.

mkdocs reads only docs/. `on_files` adds the README, the changelog and the contributing guide as pages, and
`on_page_markdown` rewrites relative links, which are written for readers of the repository: to a page of the
site if there is one, else to the file on the repository's website. A link to nothing stays as it is, so that
`mkdocs build --strict` reports it.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(
    r"""(?P<before>\]\(|\b(?:src|srcset|href)="|^\[[^\]]+\]:[ ])  # inline, HTML, or a definition
        (?P<target>[^)"#\s:]+)(?=[)"#\s]|$)                      # without a scheme: relative""",
    re.MULTILINE | re.VERBOSE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `PAGES`; their edit buttons lead to the sources."""
    for source, page in PAGES.items():
        file = File.generated(config, page, abs_src_path=str(ROOT / source))
        file.edit_uri = f"../{source}"
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with every relative link rewritten."""
    sources = {name: source for source, name in PAGES.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewrite(link: re.Match[str]) -> str:
        path = normpath(join(dirname(source), link["target"]))
        if path in PAGES or path.startswith("docs/"):
            target = relpath(PAGES.get(path, path.removeprefix("docs/")), dirname(page.file.src_uri) or ".")
        elif (ROOT / path).exists():
            target = f"{config.repo_url}/blob/main/{path}"
        else:
            target = link["target"]
        return link["before"] + target

    return LINK.sub(rewrite, markdown)
