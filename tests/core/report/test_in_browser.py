"""The page in a real browser: nothing of a hostile store runs, nothing goes wrong, tables sort and filter, the table of
contents follows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import BrowserPage, browser, chromium
from tests.support.hostile_store import CLOSING, FORMULA, MARKUP

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed (.ci/run installs it)"),
]
WIDE, PHONE = (1400, 900), (400, 800)


@pytest.fixture(scope="module")
def page(hostile_page: Path) -> Iterator[BrowserPage]:
    """The report of a hostile store, open in the browser."""
    with browser() as page:
        page.resize(*WIDE)
        page.open(hostile_page)
        yield page


def test_nothing_of_a_hostile_store_runs(page: BrowserPage) -> None:
    for size in (WIDE, PHONE):
        page.resize(*size)
        page.value("scrollTo(0, document.body.scrollHeight)")
    assert page.dialogs == []
    assert page.console == []
    assert page.value("document.scripts.length") == 1
    assert page.value("[...document.images].every((image) => image.naturalWidth > 0)")
    attributes = "[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())"
    assert page.value(f"{attributes}.some((name) => name.startsWith('on'))") is False


def test_names_are_read_as_they_are(page: BrowserPage) -> None:
    page.resize(*WIDE)
    text = page.value("document.body.textContent")
    assert MARKUP in text
    assert FORMULA.replace("/", "") in text
    assert CLOSING in text


def test_the_page_is_as_wide_as_the_window(page: BrowserPage) -> None:
    for width, height in (WIDE, PHONE):
        page.resize(width, height)
        assert page.value("document.documentElement.scrollWidth") == width


def test_a_click_sorts_a_table(page: BrowserPage) -> None:
    column = "[...document.querySelectorAll('#units th')].findIndex((head) => head.textContent === 'smooth')"
    cells = f"[...document.querySelectorAll('#units tbody tr')].map((row) => row.cells[{column}].textContent)"
    click = f"document.querySelectorAll('#units th button')[{column}].click()"
    before = page.value(cells)
    assert len(before) == 70
    page.value(click)
    assert page.value(cells) == sorted(before, key=float, reverse=True)
    page.value(click)
    assert page.value(cells) == sorted(before, key=float)
    assert page.value("document.querySelectorAll('#units [aria-sort=ascending]').length") == 1


def test_words_choose_rows(page: BrowserPage) -> None:
    visible = "[...document.querySelectorAll('#units tbody tr')].filter((row) => row.offsetHeight > 0).length"
    choose = (
        "const choice = document.querySelector('#units select'); choice.value = 'block3';"
        "choice.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    assert page.value(visible) == 70
    page.value(f"{{ {choose} }}")
    assert page.value(visible) == 33
    assert "33 of 70 rows" in page.value("document.querySelector('#units .filter').textContent")
    page.value(f"{{ {choose.replace('block3', '')} }}")
    assert page.value(visible) == 70


def test_the_table_of_contents_follows(page: BrowserPage) -> None:
    page.resize(*WIDE)
    current = "document.querySelector('nav [aria-current]')?.textContent"
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    for section, title in (("accuracy", "Accuracy"), ("units", "All numbers"), ("findings", "Findings")):
        jump = f"document.getElementById('{section}').scrollIntoView({{ behavior: 'instant' }})"
        page.value(f"{jump}; {frame}")
        assert page.value(current) == title


def test_another_script_would_not_run(page: BrowserPage) -> None:
    """Last, as the refusal is in the console."""
    page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\">')")
    page.value("new Promise((done) => setTimeout(done, 200))")
    assert page.value("window.owned") is None
    assert any("Content Security Policy" in line for line in page.console)
