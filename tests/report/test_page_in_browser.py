"""The page of a run in a real browser, as wide as a desk and as a phone: nothing overflows, nothing is fetched."""

import pytest

from tests.browser import CHROMIUM, DRIVER, opened_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="chromium and chromedriver are not installed"),
]
BEYOND = "return document.documentElement.scrollWidth - window.innerWidth"
OUTSIDE = """return [...document.querySelectorAll('body *')]
    .filter(part => !part.closest('.scroll,.picture') && part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.tagName + ' ' + part.className)"""
REQUESTS = "return performance.getEntriesByType('resource').map(entry => entry.name)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with opened_browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_the_console_stays_empty(browser, whole_text, tmp_path, width):
    page = tmp_path / "report.html"
    page.write_text(whole_text)
    browser.open("about:blank")
    browser.resize(width)
    browser.open(page.as_uri())
    assert browser.run("return innerWidth") == width
    assert browser.run(BEYOND) <= 0
    assert browser.run(OUTSIDE) == []
    assert browser.run(REQUESTS) == []
    assert browser.errors() == []
    assert browser.run("return document.querySelectorAll('svg').length") > 5


def test_a_line_that_is_too_wide_would_be_seen(browser, tmp_path):
    page = tmp_path / "wide.html"
    page.write_text("<p style='width: 3000px'>wide</p><script>console.error('said')</script>")
    browser.resize(390)
    browser.open(page.as_uri())
    assert browser.run(BEYOND) > 0
    assert browser.run(OUTSIDE) == ["P "]
    assert any("said" in line for line in browser.errors())
