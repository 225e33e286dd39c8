"""The page in a real Chromium: it opens from disk, is quiet, and answers to clicks."""

import json
import time
from pathlib import Path

import page_examples as examples
import pytest
from page_examples import HOSTILE, NAMES, SURVEYS

from fastcannon.report.interactive import interactive
from fastcannon.report.page import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is absent")
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
if not (CHROMIUM.exists() and DRIVER.exists()):
    pytest.skip("Chromium is not installed", allow_module_level=True)

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--window-size=1280,900"),
)
N_STARS = 400
PAINT = """
return performance.getEntriesByType("paint")
  .filter((entry) => entry.name === "first-contentful-paint")
  .map((entry) => entry.startTime)[0];
"""
LIMITS = "const r = Bokeh.documents[0].roots().find((p) => p.name === arguments[0])"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """URL of a page with everything; star 7 and others have hostile names."""
    folder = tmp_path_factory.mktemp("page")
    columns = examples.catalogue(N_STARS)
    columns["survey_id"][::7] = HOSTILE.encode()[:64]
    views = interactive(
        {"north": columns, "south": columns},
        *(NAMES, SURVEYS, examples.spectra(), examples.WINDOWS),
    )
    sections = examples.sections(folder)
    path = write_page(folder / "report.html", examples.summary(), sections, views)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One Chromium for all tests here."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    logs = {"browser": "ALL", "performance": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    service = webdriver.ChromeService(str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    """The browser with the page just loaded, wide and light, its plots drawn."""
    show(browser, address)
    return browser


def show(browser, address, width=1280, scheme="light"):
    """Load the page and wait for its plots; what was logged before is thrown away."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)
    wait(browser, "return document.documentElement.dataset.ready === 'yes'")


def wait(browser, script, *arguments):
    """Wait until a script returns something true; return that."""
    end = time.monotonic() + 20
    while not (found := browser.execute_script(script, *arguments)):
        assert time.monotonic() < end, f"still false after 20 s: {script}"
        time.sleep(0.05)
    return found


def choose(browser, select, value):
    """Choose an option of a select as a reader does."""
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", select)).select_by_value(value)


def text(browser, element):
    return browser.find_element("id", element).text


def column(table, number):
    rows = table.find_elements("css selector", "tbody tr")
    return [row.find_elements("tag name", "td")[number].text for row in rows]


def drag_box(browser, place, start, end):
    """Draw a box over shares of the frame of a plot."""
    from selenium.webdriver.common.action_chains import ActionChains

    plot = browser.find_element("id", f"plot-{place}")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y, width, height = browser.execute_script(
        """
        const plot = Bokeh.documents[0].roots().find((p) => p.name === arguments[0]);
        const {left, top, width, height} = Bokeh.index.find_one(plot).frame.bbox;
        return [left, top, width, height];
        """,
        place,
    )
    box = plot.rect
    # Selenium counts from the middle of the element.
    places = [
        (
            round(x + share[0] * width - box["width"] / 2),
            round(y + share[1] * height - box["height"] / 2),
        )
        for share in (start, end)
    ]
    chain = ActionChains(browser).move_to_element_with_offset(plot, *places[0])
    chain = chain.click_and_hold().move_to_element_with_offset(plot, *places[1])
    chain.release().perform()


def test_the_page_is_quiet_and_fetches_nothing(page, address):
    loud = [one for one in page.get_log("browser") if one["level"] != "INFO"]
    assert loud == []
    messages = [
        json.loads(one["message"])["message"] for one in page.get_log("performance")
    ]
    sent = [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert sent.count(address) == 1
    assert all(url == address or url.startswith("data:") for url in sent)


def test_the_first_paint_is_quick(page):
    # Measured: 0.15 to 0.5 s, on two busy cores 1.1 s.
    assert page.execute_script(PAINT) < 2000


def test_hostile_names_do_nothing(page):
    assert page.find_elements("css selector", "img[onerror]") == []
    drag_box(page, "kiel", (0.02, 0.02), (0.98, 0.98))
    wait(page, "return document.querySelectorAll('#details tbody tr').length === 20")
    assert HOSTILE[:10] in column(page.find_element("id", "details"), 0)[0]
    assert page.find_elements("css selector", "img[onerror]") == []


def test_tables_are_sorted_by_clicks_and_keys(page):
    table = page.find_element("css selector", "#noise table")
    heads = table.find_elements("tag name", "th")
    heads[1].find_element("tag name", "button").click()
    assert column(table, 1) == ["-3.0 +- 1.0", "9", "12.1"]
    assert heads[1].get_attribute("aria-sort") == "ascending"
    heads[1].find_element("tag name", "button").click()
    assert column(table, 1) == ["12.1", "9", "-3.0 +- 1.0"]
    assert heads[1].get_attribute("aria-sort") == "descending"
    heads[2].find_element("tag name", "button").send_keys("\ue007")  # enter
    assert column(table, 2)[0] == "84" and heads[2].get_attribute("aria-sort")
    assert heads[1].get_attribute("aria-sort") is None
    counts = page.find_elements("css selector", "#noise table")[1]
    counts.find_elements("tag name", "button")[1].click()
    assert column(counts, 1) == ["900", "1,200"]


def test_a_box_selects_stars_in_both_plots_and_lists_them(page):
    assert text(page, "selected") == "No star is selected."
    drag_box(page, "one-to-one", (0.1, 0.1), (0.5, 0.9))
    words = wait(
        page,
        "const words = document.getElementById('selected').textContent;"
        "return words.includes('selected;') && words",
    )
    assert "stars are selected; the first 20 are listed. Teff, ours minus" in words
    chosen = page.execute_script(
        "return Bokeh.documents[0].get_model_by_name('stars').selected.indices.length"
    )
    assert words.startswith(f"{chosen} stars") and 20 < chosen < N_STARS
    details = page.find_element("id", "details")
    first = [cell.text for cell in details.find_elements("css selector", "tbody tr td")]
    assert first[1] in SURVEYS and "\u00b1 0" in first[2] and first[8] == "none"
    page.find_element("id", "clear").click()
    wait(page, "return !document.querySelector('#details tbody tr')")
    assert text(page, "selected") == "No star is selected."


def test_another_label_changes_the_one_to_one_plot(page):
    script = (
        f"{LIMITS}; return [r.y_range.start, r.y_range.end, r.left[0].axis_label, "
        "r.renderers.find((one) => one.name === 'south').glyph.y.field]"
    )
    low, high, words, field = page.execute_script(script, "one-to-one")
    assert low > 3000 and words == "north-scaled Teff (K)"
    assert field == "teff_on_north"
    choose(page, "label", "alpha_fe")
    choose(page, "scale", "south")
    low, high, words, field = page.execute_script(script, "one-to-one")
    assert -0.5 < low < high < 1.5 and words == "south-scaled [\u03b1/Fe] (dex)"
    assert field == "alpha_fe_on_south"
    low, high, words, field = page.execute_script(script, "kiel")
    assert low > high and field == "logg_on_south"


def test_the_viewer_shows_the_star_that_is_chosen(page):
    script = (
        "const get = (name) => Bokeh.documents[0].get_model_by_name(name);"
        f"{LIMITS}; const flux = [...get('spectrum').get_column('observed')];"
        "return [r.x_range.start, r.x_range.end, flux.slice(0, 3), flux.length, "
        "get('windows').get_column('x0').length]"
    )
    stars = examples.spectra()
    start, end, flux, pixels, windows = page.execute_script(script, "residual")
    assert (start, end, windows) == (5000.0, 5099.5, 1)
    assert pixels == 401  # one for the gap
    assert flux == pytest.approx(
        [float(one) for one in stars[0].observed[:3]], abs=1e-6
    )
    choose(page, "star", "7")
    start, end, flux, _, windows = page.execute_script(script, "residual")
    assert (start, end, windows) == (15000.0, 15099.5, 0)
    assert flux == pytest.approx(
        [float(one) for one in stars[7].observed[:3]], abs=1e-6
    )
    assert text(page, "star-details") == (
        "Teff 4003 K, log g \u2013 dex. Reduced chi2 4.50. Flags: OUTSIDE_HULL."
    )
    choose(page, "arm", "15500 15599.5")
    assert page.execute_script(script, "flux")[:2] == [15500.0, 15599.5]
    groups = page.find_elements("css selector", "#star optgroup")
    assert [len(one.find_elements("tag name", "option")) for one in groups] == [6, 2]


def test_zoom_is_the_same_in_both_spectrum_plots(page):
    drag_box(page, "flux", (0.25, 0.5), (0.5, 0.6))
    script = f"{LIMITS}; return [r.x_range.start, r.x_range.end]"
    wait(page, f"{LIMITS}; return r.x_range.end < 5060", "flux")
    start, end = page.execute_script(script, "residual")
    assert [start, end] == page.execute_script(script, "flux")
    # A quarter of 99.5 Angstrom; a pixel of the screen is 0.1.
    assert (start, end) == (pytest.approx(5024.9, abs=1), pytest.approx(5049.7, abs=1))


def test_a_phone_scrolls_down_only(browser, address):
    show(browser, address, width=390)
    assert browser.execute_script("return innerWidth") == 390
    script = "return document.documentElement.scrollWidth"
    assert browser.execute_script(script) <= 390
    drag_box(browser, "kiel", (0.1, 0.1), (0.9, 0.9))
    wait(browser, "return document.querySelector('#details tbody tr')")
    assert browser.execute_script(script) <= 390


def test_dark_pages_have_dark_plots(browser, address):
    script = """
        const axis = Bokeh.documents[0].roots()[0].below[0];
        const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color, axis.axis_label_text_color];
    """
    show(browser, address)
    light = browser.execute_script(script)
    wanted = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    wait(browser, f"return (() => {{{script}}})()[2] !== arguments[0]", light[2])
    dark = browser.execute_script(script)
    assert all(one != other for one, other in zip(light, dark, strict=True))

    def brightness(colour):
        return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(",")))

    assert brightness(light[0]) > 600 > 150 > brightness(dark[0])
    assert brightness(dark[1]) > 600 > 150 > brightness(light[1])


def test_print_hides_what_only_a_screen_needs(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for selector in ("nav", ".choices"):
            assert not page.find_element("css selector", selector).is_displayed()
        assert page.find_element("css selector", "figure img").is_displayed()
        made = page.execute_cdp_cmd("Page.printToPDF", {})
        assert len(made["data"]) > 50_000
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
