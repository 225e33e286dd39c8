"""The page: what is inside, what is text only, what it weighs, what its views hold."""

import base64
import hashlib
import html
import json
import re
import time

import numpy as np
import page_examples as examples
import pytest
from page_examples import HOSTILE, NAMES, SURVEYS

from fastcannon.catalogue import FLAGS
from fastcannon.errors import InputError
from fastcannon.report.interactive import interactive
from fastcannon.report.page import Figure, PageTable, Section, write_page
from fastcannon.report.plotparts import plain_name
from fastcannon.report.spectrumview import spectrum_view
from fastcannon.report.starview import MOST_STARS, catalogue_columns, sample, star_view


def views(n_stars=300, **changed):
    found = examples.catalogue(n_stars) | changed
    return interactive(
        {"north": found, "south": found},
        *(NAMES, SURVEYS, examples.spectra(), examples.WINDOWS),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Text of a page with everything."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    sections = examples.sections(folder)
    assert write_page(path, examples.summary(), sections, views()) == path
    return path.read_text(encoding="utf-8")


def scripts(text):
    return re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)


def test_the_policy_allows_no_fetching_and_only_the_pages_own_scripts(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "connect-src" not in rules and "unsafe" not in rules["script-src"]
    allowed = rules["script-src"].split(" ")
    digests = [hashlib.sha256(one.encode()).digest() for one in scripts(page)]
    assert allowed == [f"'sha256-{base64.b64encode(d).decode()}'" for d in digests]
    assert len(allowed) == 3  # Bokeh, its settings, ours


def test_nothing_is_fetched(page):
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    targets = re.findall(r'(?:src|href)="([^"]*)"', outside)
    local = ("#", "data:", "tables/", "figures/")
    assert targets and all(target.startswith(local) for target in targets)
    assert "@import" not in outside and "url(" not in outside


def test_names_are_text_whatever_they_hold(page):
    assert HOSTILE not in page and "49" not in re.findall("What to see: (.*)<", page)[0]
    escaped = "&lt;/script&gt;&lt;img src=&#34;x&#34; onerror=&#34;alert(1)&#34;&gt;"
    assert page.count(f"{escaped}{{{{ 7 * 7 }}}}") == 3


def test_hostile_ids_cannot_leave_the_data(tmp_path):
    ids = np.array([HOSTILE] * 4, dtype="S64")
    path = write_page(
        *(tmp_path / "a.html", examples.summary(), ()), views(4, survey_id=ids)
    )
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 5
    data = re.search(r'id="document">(.*?)</script>', text)[1]
    assert HOSTILE[:14] in json.dumps(json.loads(data)) and "<" not in data


def test_words_of_a_page(page):
    assert '<html lang="en">' in page and "prefers-color-scheme: dark" in page
    assert 'alt="Noise, &#34;evenly&#34; spread"' in page
    assert '<a href="figures/noise.pdf">PDF</a>' in page
    assert '<a href="tables/table%201.csv">CSV</a>' in page
    assert page.count('<p class="text">Second one.</p>') == 1
    assert "No clusters: no table of members was given." in page
    assert 'style="width: 23.8%"' in page
    assert '<td data-key="12.1">12.1</td>' in page and '<td data-key=""></td>' in page


def test_pictures_are_in_the_page_as_they_are(page, tmp_path):
    text = re.search(r"data:image/png;base64,([^\"]*)", page)[1]
    before = examples.picture(tmp_path / "noise.png")
    assert base64.b64decode(text) == before.read_bytes()


def test_a_page_without_views_is_light(tmp_path):
    path = write_page(tmp_path / "report.html", examples.summary(), ())
    text = path.read_text(encoding="utf-8")
    assert (
        len(text) < 40_000 and 'id="plot-kiel"' not in text and len(scripts(text)) == 1
    )


def test_views_of_a_large_catalogue_are_small_and_quick(tmp_path):
    begun = time.perf_counter()
    path = write_page(
        *(tmp_path / "report.html", examples.summary(), ()), views(100_000)
    )
    # Measured: 2.1 s and 2.3 MB, of them Bokeh's 1.3 MB.
    assert time.perf_counter() - begun < 20
    assert path.stat().st_size < 4e6


def test_what_cannot_be_shown_is_named(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    cases = {
        "broken.png cannot be read": [Figure(broken, None, "", "")],
        "absent.png cannot be read": [Figure(tmp_path / "absent.png", None, "", "")],
        "row 1 has 1 cells": [PageTable("T", ["a", "b"], [["1", "2"], ["3"]])],
        "1 rows and 2 rows of sort": [PageTable("T", ["a"], [["1"]], [[1], [2]])],
    }
    for words, shown in cases.items():
        kind = "figures" if isinstance(shown[0], Figure) else "tables"
        section = Section("S", "s", **{kind: shown})
        with pytest.raises(InputError, match=words):
            write_page(path, examples.summary(), [section])
    with pytest.raises(InputError, match="does not exist"):
        write_page(tmp_path / "no" / "report.html", examples.summary(), ())
    assert path.read_text() == "before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken.png", path.name]


def test_one_star_has_views():
    assert views(1).catalogue["n_shown"] == 1


def test_views_without_values_or_a_survey():
    lost = np.full(40, np.nan, dtype=np.float32)
    found = views(40, teff=lost, teffCann=lost, e_teff=lost, r_chi_sq=lost)
    assert found.catalogue["ranges"]["north"]["teff"] == (0.0, 1.0)
    json.dumps(found.document, allow_nan=False)
    alone = views(40, survey=np.zeros(40, dtype=np.int8))
    assert alone.catalogue["n_stars"] == 40
    empty = interactive({"north": examples.catalogue(0)}, NAMES, SURVEYS)
    assert empty.catalogue == empty.spectra == empty.roots == {}


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (("logg", "alpha_fe", "teff"), ["teff", "logg"]),
        (("alpha_fe", "teff"), ["alpha_fe", "teff"]),
        (("teff",), ["teff", "r_chi_sq"]),
    ],
)
def test_any_labels_have_a_diagram(names, axes):
    found = {"north": examples.catalogue(30)}
    view = star_view(found, names, SURVEYS, 0)
    assert view["axes"] == axes
    assert set(view["images"]) == {f"{name}_on_north" for name in ("kiel", *names)}
    assert f"{axes[1]}_on_north" in view["stars"]


def test_the_sample_has_all_kinds_of_flags():
    columns = examples.catalogue(100_000)
    columns["flag_fastcannon"][[7, 70_001]] = FLAGS["SINGULAR"], FLAGS["NO_DATA"]
    columns["flag_snr"][90_000] = 1
    rows = sample(columns, seed=1)
    assert len(rows) == len(set(rows)) == MOST_STARS
    assert {7, 70_001, 90_000} <= set(rows)
    np.testing.assert_array_equal(rows, sample(columns, seed=1))
    assert len(set(rows) - set(sample(columns, seed=2))) > 0.9 * MOST_STARS
    # Both surveys in proportion: 2,500 +- 35.
    assert abs(columns["survey"][rows].sum() - MOST_STARS / 2) < 200


def test_scales_are_matched_by_survey_and_id():
    first = examples.catalogue(60)
    order = np.random.default_rng(1).permutation(60)[:50]
    second = {name: values[order] for name, values in first.items()}
    found = star_view({"north": first, "south": second}, NAMES, SURVEYS, 0)
    stars = found["stars"]
    there = np.isin(np.arange(60), order)
    one, other = stars["teff_on_north"], stars["teff_on_south"]
    np.testing.assert_array_equal(one[there], other[there])
    assert np.isnan(other[~there]).all()
    flags = found["flags"]["south"]
    words = np.array(flags["texts"])[flags["which"]]
    assert set(words[~there]) == {"not in this catalogue"}
    assert set(words[there]) == {"none"}


def test_counts_are_of_all_stars():
    view = star_view({"north": examples.catalogue(20_000)}, NAMES, SURVEYS, 0)
    (image,) = view["images"]["teff_on_north"]
    assert image.dtype == np.uint8 and image.max() == 255
    # Stars lie along the line of equal labels: far from it there are none.
    assert image[20, 180] == 0 and image.diagonal().sum() > 0


def test_spectra_come_back_as_they_were():
    stars = examples.spectra()
    found = spectrum_view(stars, examples.WINDOWS)
    star = found["stars"][5]
    steps = np.frombuffer(base64.b64decode(star["observed"]), "<u2")
    flux = np.where(steps == 65535, np.nan, found["lowest"] + found["step"] * steps)
    # Rounded to 4 decimals before: half a step of float32 is left, 3e-8.
    np.testing.assert_allclose(flux, stars[5].observed, atol=1e-6)
    assert np.isnan(flux).sum() == 1
    arms = found["surveys"]["south"]["arms"]
    assert arms == [[15000.0, 15099.5], [15500.0, 15599.5]]
    assert found["surveys"]["north"]["windows"] == [["Mg", 5010.0, 5020.0]]
    assert star["labels"] == {"teff": 4001.0, "logg": None}


def test_flux_beyond_the_steps_is_at_their_end():
    star = examples.spectra()[0]
    star.observed[:2] = -30, 1e9
    code = spectrum_view([star], {})["stars"][0]["observed"]
    assert np.frombuffer(base64.b64decode(code), "<u2")[:2].tolist() == [0, 65534]


def test_columns_and_plain_words():
    assert set(catalogue_columns(NAMES)) <= set(examples.catalogue(1))
    words = [plain_name(name) for name in ("teff", "logg", "alpha_fe", "vsini", "a_b$")]
    assert words == ["Teff", "log g", "[\u03b1/Fe]", "v sin i", "a_b$"]
