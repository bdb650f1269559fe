"""The page of a report in a real browser."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from clustersim.plots.style import new_figure, svg_text
from clustersim.report.page import Figure, Page, Section, Table, write_page
from tests.report.browser import programs
from tests.report.sample_page import sample_page

WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_page(sample_page(), tmp_path_factory.mktemp("report") / "report.html")


def write_table(frame: pd.DataFrame, folder) -> object:
    return write_page(Page("t", "", [], [Section("s", [Table("t", frame)])]), folder / "t.html")


def heading(browser, label):
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "th button")
    return next(button for button in buttons if button.text == label)


def column(browser, index):
    return browser.run(
        "return Array.from(document.querySelector('tbody').rows, r => r.cells[arguments[0]]"
        ".textContent)",
        index,
    )


def orders(browser):
    return browser.run(
        "return Array.from(document.querySelector('thead tr').cells, h => h.ariaSort)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_is_quiet_and_fits_its_window(browser, report, tmp_path, width, colours):
    browser.open(report, width=width, colours=colours)
    assert browser.overflow() <= 0
    shot = browser.screenshot(tmp_path / f"report-{colours}-{width}.png")
    assert browser.messages() == []
    assert browser.requests() == []
    with Image.open(shot) as image:
        pixels = image.convert("RGB")
        assert pixels.width == width
        assert len(pixels.getcolors(maxcolors=2**24)) > 50
        ground = pixels.getpixel((2, 2))
    assert (min(ground) > 240) if colours == "light" else (max(ground) < 40)


def test_pictures_fill_their_frames_and_stay_legible(browser, report):
    script = "return Array.from(document.querySelectorAll('img'), s => s.getBoundingClientRect())"
    browser.open(report, width=1280)
    # The page is 1,120 pixels wide; its padding is 32 and that of a frame 16, with a line of 1.
    assert [box["width"] for box in browser.run(script)] == pytest.approx([1022] * 2, abs=0.5)
    browser.open(report, width=400)
    for box in browser.run(script):
        assert box["width"] == pytest.approx(0.7 * 864, abs=0.5)  # and the frame scrolls
        assert box["width"] / box["height"] == pytest.approx(9.0 / 4.2, rel=0.01)
    assert browser.overflow() <= 0


def test_a_narrow_picture_is_enlarged_and_its_frame_is_as_wide(browser, tmp_path):
    figure = new_figure(3.0, 2.0)
    page = Page("t", "", [], [Section("s", [Figure("f", svg_text(figure))])])
    browser.open(write_page(page, tmp_path / "t.html"), width=1280)
    frame, picture = browser.run(
        "return ['.picture', 'img'].map(s => document.querySelector(s).getBoundingClientRect()"
        ".width)"
    )
    assert picture == pytest.approx(1.7 * 3.0 * 96.0, abs=1)
    assert frame == pytest.approx(picture + 34, abs=1)


def test_click_sorts_and_a_second_reverses(browser, tmp_path):
    values = {"a": [3.0, float("inf"), 20.0, float("nan"), 100.0], "b": list("vwxyz")}
    browser.open(write_table(pd.DataFrame(values), tmp_path))
    assert orders(browser) == [None, None]
    heading(browser, "a").click()
    assert column(browser, 0) == ["3", "20", "100", "∞", "–"]
    assert orders(browser) == ["ascending", None]
    heading(browser, "a").click()
    assert column(browser, 0) == ["100", "20", "3", "∞", "–"]
    assert column(browser, 1) == list("zxvwy")
    assert orders(browser) == ["descending", None]
    assert browser.messages() == []


def test_keyboard_sorts(browser, tmp_path):
    browser.open(write_table(pd.DataFrame({"name": ["n10", "N9", "n1"], "b": [1, 2, 3]}), tmp_path))
    active = browser.driver.switch_to
    active.active_element.send_keys(Keys.TAB)
    assert active.active_element.text == "name"
    active.active_element.send_keys(Keys.ENTER)
    assert column(browser, 0) == ["n1", "N9", "n10"]
    active.active_element.send_keys(Keys.SPACE)
    assert column(browser, 0) == ["n10", "N9", "n1"]
    assert orders(browser) == ["descending", None]


def test_sorting_is_stable(browser, tmp_path):
    frame = pd.DataFrame({"group": list("babab"), "order": [5, 4, 3, 2, 1]})
    browser.open(write_table(frame, tmp_path))
    heading(browser, "order").click()
    heading(browser, "group").click()
    assert column(browser, 1) == ["2", "4", "1", "3", "5"]
    heading(browser, "group").click()
    assert column(browser, 1) == ["1", "3", "5", "2", "4"]
    assert orders(browser) == ["descending", None]


def test_durations_sort_by_seconds_not_by_their_text(browser, tmp_path):
    browser.open(write_table(pd.DataFrame({"wait_s": [864000.0, 180.0, 30.0]}), tmp_path))
    assert column(browser, 0) == ["10 d", "3 min", "30 s"]
    heading(browser, "wait").click()
    assert column(browser, 0) == ["30 s", "3 min", "10 d"]


def test_filter_of_a_long_table(browser, tmp_path):
    names = [f"run {number}" for number in range(60)]
    frame = pd.DataFrame({"name": names, "status": ["failed", "finished"] * 30})
    browser.open(write_table(frame, tmp_path))
    box = browser.driver.find_element(By.CSS_SELECTOR, ".filter input")
    box.send_keys("RUN 5 failed")
    rows = browser.driver.find_elements(By.CSS_SELECTOR, "tbody tr")
    shown = [row.text for row in rows if row.is_displayed()]
    numbers = [number for number in range(0, 60, 2) if "5" in str(number)]
    assert shown == [f"run {number} failed" for number in numbers]
    output = browser.driver.find_element(By.CSS_SELECTOR, ".filter output")
    assert output.text == f"{len(numbers)} of 60 rows"
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    assert all(row.is_displayed() for row in rows)
    assert output.text == ""


def test_heading_stays_while_a_long_table_scrolls(browser, tmp_path):
    browser.open(write_table(pd.DataFrame({"n": range(150)}), tmp_path))
    moved = browser.run(
        "const rows = document.querySelector('.rows'); rows.scrollTop = 500;"
        "const top = e => e.getBoundingClientRect().top;"
        "return [rows.scrollTop, top(document.querySelector('th')) - top(rows)]"
    )
    assert moved[0] == 500
    assert moved[1] == pytest.approx(1, abs=1.01)


def test_narrow_windows_show_every_value_without_scrolling(browser, tmp_path):
    frame = pd.DataFrame({f"column {k}": ["a text of some length", "b"] for k in range(12)})
    browser.open(write_table(frame, tmp_path), width=420)
    widths, label = browser.run(
        "const box = document.querySelector('.rows');"
        "const cells = [...document.querySelectorAll('td')];"
        "const ends = cells.map(c => c.getBoundingClientRect().right);"
        "return [[box.scrollWidth - box.clientWidth, ...ends],"
        "getComputedStyle(cells[11], '::before').content]"
    )
    assert widths[0] <= 0
    assert max(widths[1:]) <= 420
    assert label == '"column 11"'
    browser.open(write_table(frame, tmp_path), width=1280)
    first = browser.run(
        "const box = document.querySelector('.rows'); box.scrollLeft = 400;"
        "return document.querySelector('td').getBoundingClientRect().left"
        " - box.getBoundingClientRect().left"
    )
    assert first == pytest.approx(0, abs=1.0)


def test_listing_opens(browser, report):
    browser.open(report)
    code = browser.driver.find_element(By.CSS_SELECTOR, "#listing-2 code")
    assert not code.is_displayed()
    browser.driver.find_element(By.CSS_SELECTOR, "#listing-2 summary").click()
    assert code.text == "clustersim study run study.yaml --out out/two-policies"


def test_hostile_names_do_not_run(browser, tmp_path):
    hostile = "</script></style><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
    browser.open(write_table(pd.DataFrame({hostile: [hostile]}), tmp_path))
    assert browser.run("return window.hit") is None
    assert column(browser, 0) == [hostile]
    assert (browser.messages(), browser.requests()) == ([], [])


@pytest.mark.parametrize(
    ("attempt", "directive"),
    [
        ("new Image().src = 'http://127.0.0.1:9/x.png'", "img-src"),
        ("fetch('http://127.0.0.1:9/x').catch(() => 0)", "connect-src"),
        (
            "const s = document.createElement('script'); s.textContent = 'window.hit = 1';"
            "document.body.append(s)",
            "script-src-elem",
        ),
    ],
)
def test_page_cannot_load_or_run_anything_else(browser, report, attempt, directive):
    browser.open(report)
    refused = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
        f"{attempt}"
    )
    assert refused == directive
    assert browser.run("return window.hit") is None


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        ({}, pytest.skip.Exception),
        ({"CI": "true"}, pytest.fail.Exception),
        ({"CI": "true", "CLUSTERSIM_NO_BROWSER": "1"}, pytest.skip.Exception),
    ],
)
def test_without_a_browser_only_ci_fails(tmp_path, environment, outcome):
    with pytest.raises(outcome, match="Chromium is"):
        programs({"PATH": str(tmp_path), **environment})


def test_a_page_that_is_not_quiet_is_noticed(browser, tmp_path):
    loud = tmp_path / "loud.html"
    loud.write_text(
        "<!DOCTYPE html><link rel='icon' href='data:,'><div style='width: 2000px'>x</div>"
        "<img src='http://127.0.0.1:9/x.png'><script>console.warn('careful')</script>"
    )
    browser.open(loud)
    assert "http://127.0.0.1:9/x.png" in browser.requests()
    assert any("careful" in message for message in browser.messages())
    assert browser.overflow() > 700
