"""What `make docs` does to the Markdown files, which are written to be read on GitHub.

README.md becomes the first page. Links to files of the repository that are no pages lead to GitHub; one to a file that
does not exist is a warning, with which the build fails.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")
_log = logging.getLogger("mkdocs.plugins.shapebias")


def on_files(files: Any, config: Any) -> Any:
    """Add README.md as index.md."""
    readme = _root(config).joinpath("README.md").read_text("utf-8")
    files.append(File.generated(config, "index.md", content=_linked(readme, "", config, "README.md")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page with its links as they are on the site."""
    return markdown if page.file.src_uri == "index.md" else _linked(markdown, "docs", config, page.file.src_uri)


def _root(config: Any) -> Path:
    return Path(config["config_file_path"]).parent


def _linked(markdown: str, folder: str, config: Any, name: str) -> str:
    """Return a text of a folder of the repository with the links that a page has."""

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        if path.startswith("docs/"):
            return path.removeprefix("docs/")
        file = _root(config) / path
        if not file.exists():
            _log.warning("%s links to %s, which does not exist", name, match[1])
        return f"{config['repo_url']}/{'tree' if file.is_dir() else 'blob'}/main/{path}"

    return _LINK.sub(target, markdown)
