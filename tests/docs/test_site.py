"""`make docs`: one build of all pages, offline, whose links lead somewhere."""

import os
import re
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

import shapebias

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-docs" / "bin" / "python"  # that `make docs` made

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="`make docs` installs what builds the pages"),
]


def build(config: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    command = [PYTHON, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT / "mkdocs.yml", path)
    assert done.returncode == 0, done.stderr
    return path


def links(page: Path, attribute: str) -> list[str]:
    return [unescape(link) for link in re.findall(rf'\s{attribute}="([^"]*)"', page.read_text("utf-8"))]


def test_every_page_is_there_and_every_link_leads_somewhere(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index"}
    assert pages <= {path.stem for path in site.glob("*.html")}
    for name in pages:
        page = site / f"{name}.html"
        for link in [*links(page, "href"), *links(page, "src")]:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = page if not path else page.parent / unquote(path)
            assert target.exists(), f"{name}: {link}"
            if anchor and target.suffix == ".html":
                assert f'id="{unquote(anchor)}"' in target.read_text("utf-8"), f"{name}: {link}"


def test_nothing_is_fetched(site: Path) -> None:
    for page in site.glob("*.html"):
        assert [link for link in links(page, "src") if "//" in link] == []
        styles = re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect)"[^>]*>', page.read_text("utf-8"))
        assert [style for style in styles if "//" in style] == []


def test_what_is_no_page_is_on_github(site: Path) -> None:
    start = links(site / "index.html", "href")
    assert "https://github.com/shapebias/shapebias/blob/main/examples/efficientnet_lite0.py" in start
    assert "models.html" in start
    assert not [link for link in start if link.startswith("docs/")]


def test_every_name_is_documented_with_its_example(site: Path) -> None:
    text = unescape(re.sub(r"<[^>]+>", "", (site / "api.html").read_text("utf-8")))
    for name in shapebias.__all__[1:]:
        assert f"shapebias.{name}" in text
    assert '>>> store = shapebias.open("pair.zarr")' in text


def test_a_link_to_nothing_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("[nothing](examples/nothing.py)")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"site_name: a\nrepo_url: https://b\nhooks: [{ROOT / 'docs/site/links.py'}]\n")
    done = build(config, tmp_path / "site")
    assert done.returncode == 1
    assert "README.md links to examples/nothing.py, which does not exist" in done.stderr
