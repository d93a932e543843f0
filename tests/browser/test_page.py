"""The page of ``ami-promoter report`` as a reader uses it: two themes, a phone, a keyboard, paper."""

import base64
import time

import pytest
from conftest import OPEN_ALL
from selenium.webdriver import ActionChains, Keys

PAGES = ("busy", "large", "hostile", "empty")
SCREENS = [(width, dark) for width in (1280, 360) for dark in (False, True)]
FOCUSED = "return document.activeElement.outerHTML.slice(0, 200)"
WIDER = """
const wide = document.documentElement.clientWidth
return [...document.querySelectorAll('body *')]
    .filter(one => one.checkVisibility() && !one.closest('thead, caption, .skip, .bar')
        && one.getBoundingClientRect().right > wide + 1)
    .map(one => one.outerHTML.slice(0, 200))
"""


def press(browser, *keys):
    ActionChains(browser.driver).send_keys(*keys).perform()


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_asked_for_and_nothing_runs(browser, page):
    """No request, no script, no violation of the page's policy; a hostile text opens no dialog."""
    browser.complaints()

    browser.look(page)

    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return document.scripts.length") == 0
    assert browser.complaints() == []
    assert browser.driver.title.startswith("AMI promotions of 111111111111")


@pytest.mark.parametrize("page", ["busy", "hostile", "empty"])
@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_everybody_can_read_it(browser, page, width, dark):
    """Axe finds no problem with contrast, landmarks, headings, tables or names, with everything unfolded."""
    browser.look(page, width=width, dark=dark)
    browser.run(OPEN_ALL)
    browser.picture(f"{page}-{width}-{'dark' if dark else 'light'}")

    assert browser.barriers() == []


def test_axe_would_find_a_barrier(browser):
    """The check works: it reports pale text."""
    browser.look("busy")
    browser.run("document.querySelector('h1').style.color = '#ccc'")

    assert any(one.startswith("color-contrast: <h1") for one in browser.barriers())


@pytest.mark.parametrize("page", ["busy", "hostile"])
@pytest.mark.parametrize("width", [1280, 768, 360])
def test_nothing_is_wider_than_the_screen(browser, page, width):
    """Also with a long text without spaces."""
    browser.look(page, width=width)
    browser.run(OPEN_ALL)

    assert browser.run(WIDER) == []
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_on_a_phone_each_cell_says_its_heading(browser):
    """There a row is a card."""
    browser.look("busy", width=360)
    before = "return getComputedStyle(document.querySelector(arguments[0]), '::before').content"

    said = [browser.run(before, f".now td:nth-child({number})") for number in range(2, 7)]

    heads = browser.run("return [...document.querySelectorAll('.now thead th')].map(one => one.textContent)")
    assert said == [f'"{head}"' for head in heads[1:]]


def test_the_two_themes_differ(browser):
    """The page follows the screen's theme."""
    backgrounds = []
    for dark in (False, True):
        browser.look("busy", dark=dark)
        backgrounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))

    assert backgrounds == ["rgb(255, 255, 255)", "rgb(15, 20, 26)"]


def test_a_keyboard_reaches_everything(browser):
    """The first stop skips to the content; each link and each fold is a stop, and opens."""
    browser.look("busy")
    stops = browser.run("return document.querySelectorAll('a, summary').length")
    seen = []
    for _ in range(stops):
        press(browser, Keys.TAB)
        seen.append(browser.run(FOCUSED))
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"

    assert 'class="skip"' in seen[0]
    assert all(one.startswith(("<a", "<summary")) for one in seen)
    folded = "return document.querySelectorAll('details:not([open])').length"
    before = browser.run(folded)
    browser.run("document.querySelector('details:not([open]) summary').focus()")
    press(browser, Keys.ENTER)
    assert browser.run(folded) == before - 1


def test_the_first_stop_skips_to_the_content(browser):
    """For people who use a screen reader."""
    browser.look("busy")

    press(browser, Keys.TAB, Keys.ENTER)

    assert browser.run("return document.activeElement.id") == "main"


def test_without_colors_everything_is_said(browser):
    """Each state is a word with a mark, and each bar has its times as text beside it."""
    browser.look("busy")
    browser.run(OPEN_ALL)

    words = browser.run("return [...document.querySelectorAll('.st')].map(one => one.innerText.trim())")
    assert {"✓ delivered", "✕ failed", "■ withdrawn", "▸ copying", "● open"} <= set(words)
    assert all(any(letter.isalpha() for letter in word) for word in words)
    rows = "return [...document.querySelectorAll('td .bar')].map(one => one.closest('tr').innerText)"
    assert all(any(sign.isdigit() for sign in row) for row in browser.run(rows))


def test_what_could_not_be_read_is_said_first(browser):
    """Above the numbers, with a link to the list and its reasons."""
    browser.look("busy")

    warning = browser.driver.find_element("css selector", ".warnings")
    assert "1 record could not be read completely" in warning.text
    warning.find_element("css selector", "a").click()
    assert browser.run("return location.hash") == "#read"
    assert "it was written by another version" in browser.driver.find_element("id", "read").text


def test_paper_shows_what_is_folded(browser):
    """The printed page shows all folds, on more than one sheet."""
    browser.look("busy", media="print")
    heights = "return [...document.querySelectorAll('details:not([open]) table')].map(one => one.offsetHeight)"

    assert min(browser.run(heights)) > 20
    assert len(base64.b64decode(browser.command("Page.printToPDF")["data"])) > 20_000


def test_a_thousand_targets_and_five_promotions(browser):
    """The page loads within seconds, unfolds at once, and has every row."""
    begun = time.monotonic()
    browser.look("large")
    loaded = time.monotonic() - begun
    browser.run(OPEN_ALL)
    browser.run("return document.body.offsetHeight")
    unfolded = time.monotonic() - begun - loaded

    assert loaded < 20
    assert unfolded < 20
    assert browser.run("return document.querySelectorAll('.del tbody tr').length") == 5000
    assert browser.run("return document.querySelectorAll('.was tbody tr').length") == 10_000
    assert browser.run("return document.documentElement.scrollWidth") <= 1280
