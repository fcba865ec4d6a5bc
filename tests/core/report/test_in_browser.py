"""The page in a real browser: nothing of a hostile store runs, nothing goes wrong, tables sort and filter, the table of
contents follows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shapebias.core.report.page import html_of
from shapebias.core.report.report import report_of
from shapebias.core.report.scope import scope_of
from shapebias.core.store.opening import open_store
from shapebias.core.units.marks import Marks
from tests.support.browser import Page, browser, chromium
from tests.support.hostile_store import CLOSING, FORMULA, MARKUP, hostile_copy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed (.ci/run installs it)"),
]
WIDE, PHONE = (1400, 900), (400, 800)


@pytest.fixture(scope="module")
def hostile_page(concept_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    store = open_store(hostile_copy(concept_store, folder / "hostile.zarr"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        marks = Marks(store)
        marks.load()
        marks.set(store.unit(f"{MARKUP}/block3/0"), CLOSING)
        file = folder / "report.html"
        file.write_text(html_of(report_of(scope_of(store, None, light=True)), CLOSING), "utf-8")
    with browser() as page:
        page.resize(*WIDE)
        page.open(file)
        yield page


def test_nothing_of_a_hostile_store_runs(hostile_page: Page) -> None:
    for size in (WIDE, PHONE):
        hostile_page.resize(*size)
        hostile_page.value("scrollTo(0, document.body.scrollHeight)")
    assert hostile_page.dialogs == []
    assert hostile_page.console == []
    assert hostile_page.value("document.scripts.length") == 1
    assert hostile_page.value("[...document.images].every((image) => image.naturalWidth > 0)")
    attributes = "[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())"
    assert hostile_page.value(f"{attributes}.some((name) => name.startsWith('on'))") is False


def test_names_are_read_as_they_are(hostile_page: Page) -> None:
    hostile_page.resize(*WIDE)
    text = hostile_page.value("document.body.textContent")
    assert MARKUP in text
    assert FORMULA.replace("/", "") in text
    assert CLOSING in text


def test_the_page_is_as_wide_as_the_window(hostile_page: Page) -> None:
    for width, height in (WIDE, PHONE):
        hostile_page.resize(width, height)
        assert hostile_page.value("document.documentElement.scrollWidth") == width


def test_a_click_sorts_a_table(hostile_page: Page) -> None:
    column = "[...document.querySelectorAll('#units th')].findIndex((head) => head.textContent === 'smooth')"
    cells = f"[...document.querySelectorAll('#units tbody tr')].map((row) => row.cells[{column}].textContent)"
    click = f"document.querySelectorAll('#units th button')[{column}].click()"
    before = hostile_page.value(cells)
    assert len(before) == 70
    hostile_page.value(click)
    assert hostile_page.value(cells) == sorted(before, key=float, reverse=True)
    hostile_page.value(click)
    assert hostile_page.value(cells) == sorted(before, key=float)
    assert hostile_page.value("document.querySelectorAll('#units [aria-sort=ascending]').length") == 1


def test_words_choose_rows(hostile_page: Page) -> None:
    shown = "[...document.querySelectorAll('#units tbody tr')].filter((row) => row.offsetHeight > 0).length"
    choose = (
        "const choice = document.querySelector('#units select'); choice.value = 'block3';"
        "choice.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    assert hostile_page.value(shown) == 70
    hostile_page.value(f"{{ {choose} }}")
    assert hostile_page.value(shown) == 33
    assert "33 of 70 rows" in hostile_page.value("document.querySelector('#units .filter').textContent")
    hostile_page.value(f"{{ {choose.replace('block3', '')} }}")
    assert hostile_page.value(shown) == 70


def test_the_table_of_contents_follows(hostile_page: Page) -> None:
    hostile_page.resize(*WIDE)
    current = "document.querySelector('nav [aria-current]')?.textContent"
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    for section, title in (("accuracy", "Accuracy"), ("units", "All numbers"), ("findings", "Findings")):
        jump = f"document.getElementById('{section}').scrollIntoView({{ behavior: 'instant' }})"
        hostile_page.value(f"{jump}; {frame}")
        assert hostile_page.value(current) == title


def test_another_script_would_not_run(hostile_page: Page) -> None:
    """Last, as the refusal is in the console."""
    hostile_page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\">')")
    hostile_page.value("new Promise((done) => setTimeout(done, 200))")
    assert hostile_page.value("window.owned") is None
    assert any("Content Security Policy" in line for line in hostile_page.console)
