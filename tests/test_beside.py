"""Translators beside the Cannon in a run: the same stars by both methods."""

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from small_run import NAMES, contents, copied, go, load, read, write
from translate_examples import SMALL

from fastcannon import demo, extras, translators
from fastcannon.cases import Case
from fastcannon.catalogue import Scale
from fastcannon.catalogue_files import check_manifest, read_partition
from fastcannon.comparison import METHODS, comparison_lines, comparison_table
from fastcannon.config import Translate
from fastcannon.describe import describe
from fastcannon.errors import InputError
from fastcannon.fitsfiles import write_hdus
from fastcannon.fitsheaders import verify_checksums
from fastcannon.report import translator_section as section
from fastcannon.report.rundata import RunData
from fastcannon.runfolder import RunFolder, read_timings
from fastcannon.status import status
from fastcannon.translate import Translator, columns, stream, translator

pytestmark = pytest.mark.filterwarnings("ignore:.*training stars for:UserWarning")

ASKED = "\n[translate]\nnetworks = 3\n"
WAYS = ("apogee-to-galah", "galah-to-apogee")
NEW = {
    *(f"translators/{way}{end}.fits" for way in WAYS for end in ("", "-held-out")),
    *(f"translated/{way}.fits" for way in WAYS),
    "comparison.ecsv",
}


def quickly(path):
    """Run a configuration with small networks for its some 50 training stars."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(columns, "LEAST_STARS", 30))
        stack.enter_context(mock.patch.object(translator, "Settings", lambda: SMALL))
        return go(path)


@pytest.fixture(scope="module")
def beside(done, tmp_path_factory):
    """The finished run, with translators; not to be changed."""
    home = tmp_path_factory.mktemp("beside")
    copied(done, home)
    path = write(home, done.text + ASKED)
    summary, said = quickly(path)
    return done._replace(
        text=done.text + ASKED,
        path=path,
        folder=home / "run",
        summary=summary,
        said=said,
    )


# ---- a run


def test_translators_are_added_to_a_finished_run(beside, done):
    """Its settings are as they were: nothing else depends on translators."""
    before, after = contents(done.folder), contents(beside.folder)
    assert set(after) - set(before) == NEW
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"summary.json"}
    assert check_manifest(beside.folder / "manifest.sha256") == []
    named = (beside.folder / "manifest.sha256").read_text()
    assert all(name in named for name in NEW) and "timings.json" not in named
    assert any("comparison.ecsv" in line for line in beside.said)
    for name in (name for name in NEW if name.endswith(".fits")):
        verify_checksums(beside.folder / name)


def test_counts_and_costs_are_kept(beside, training_stars):
    counts = beside.summary["translators"]
    for way in WAYS:
        survey = way.partition("-to-")[0]
        assert counts[way]["training stars"] == len(training_stars)
        assert counts[way]["rows"] == beside.summary["stars"][survey]["stars"]
        flag = read(beside.folder / "translated" / f"{way}.fits")["translate_flag"]
        assert counts[way]["flagged"] == (flag > 0).sum() > 0
        costs = read_timings(beside.folder)[way.replace("-to-", "-on-")]
        for method in ("cannon", "translator"):  # the Cannon's were kept before
            assert costs[method]["training"] > 0 and costs[method]["per_1000"] > 0


def test_held_out_stars_are_not_those_that_were_trained_on(beside, training_stars):
    model = Translator.read(beside.folder / "translators" / "apogee-to-galah.fits")
    held = read(beside.folder / "translators" / "apogee-to-galah-held-out.fits")
    table = translators.training_columns("apogee", "galah", NAMES, training_stars)
    seen = model.apply(table)
    assert model.inputs == ("teff", "logg", "feh") and model.ensemble == 3
    assert list(held["star_id"]) == list(training_stars["star_id"])
    for name in model.outputs:
        away = [
            np.std(np.asarray(found[name]) - np.asarray(training_stars[name]))
            for found in (seen, held)
        ]
        assert away[0] != away[1]
        np.testing.assert_allclose(held[f"e_{name}"], seen[f"e_{name}"])


@pytest.mark.parametrize("way", WAYS)
def test_a_survey_is_translated_as_a_whole(beside, way):
    survey, _, scale = way.partition("-to-")
    found = read(beside.folder / "translated" / f"{way}.fits")
    home = beside.folder / "catalogues" / f"{scale}-scaled"
    paths = sorted(home.glob(f"{survey}-*.parquet"))
    model = Translator.read(beside.folder / "translators" / f"{way}.fits")
    start = 0
    for path in paths:
        stars = read_partition(path)[0]
        rows = found[start : start + len(stars)]
        expected = model.apply(stars, threads=1)
        for name in ("dr2_source_id", "dr3_source_id", "ra", "dec", "r_est"):
            np.testing.assert_array_equal(rows[name], stars[name])
        assert list(rows["survey_id"].astype(str)) == list(stars["survey_id"])
        for name in (f"fe_h_{scale}", f"e_teff_{scale}", "translate_flag"):
            np.testing.assert_array_equal(rows[name], expected[name])
        start += len(stars)
    assert start == len(found)


def test_the_comparison_is_of_the_files(beside, training_stars):
    table = Table.read(beside.folder / "comparison.ecsv")
    assert len(table) == 2 * len(NAMES) * len(METHODS)
    case = read(beside.folder / "validation" / "galah-on-apogee.fits")
    held = read(beside.folder / "translators" / "galah-to-apogee-held-out.fits")
    given = np.asarray(training_stars["fe_h_apogee"])
    own = np.asarray(training_stars["fe_h_galah"]) - given
    values = {
        "cannon": np.asarray(case["fe_h"]) - given,
        "translator": np.asarray(held["fe_h_apogee"]) - given,
        "identity": own - np.median(own),
    }
    rows = table[(table["case"] == "galah-on-apogee") & (table["label"] == "fe_h")]
    for row in rows:
        difference = values[row["method"]]
        low, high = np.percentile(difference, (16, 84))
        assert row["stars"] == len(training_stars)
        assert row["bias"] == pytest.approx(np.median(difference), abs=1e-12)
        assert row["scatter"] == pytest.approx((high - low) / 2, rel=1e-9)
        x = np.asarray(training_stars["teff_apogee"]) / 1000
        assert row["slope_teff"] == pytest.approx(np.polyfit(x, difference, 1)[0])
    assert rows["error"][0] > 0 and rows["error"][1] > 0


# ---- again, killed, changed


def spoiled(beside, folder, *names):
    """Copy the run with translators and remove some of its files."""
    path = copied(beside, folder)
    for name in names:
        (folder / "run" / name).unlink()
    return path


def test_what_is_finished_is_kept(beside, tmp_path):
    path = spoiled(beside, tmp_path, "comparison.ecsv")
    when = {
        name: (tmp_path / "run" / name).stat().st_mtime_ns
        for name in NEW - {"comparison.ecsv"}
    }
    quickly(path)
    assert contents(tmp_path / "run") == contents(beside.folder)
    for name, time in when.items():
        assert (tmp_path / "run" / name).stat().st_mtime_ns == time


def test_what_is_gone_or_damaged_is_made_again(beside, tmp_path):
    path = spoiled(beside, tmp_path, f"translators/{WAYS[0]}-held-out.fits")
    folder = tmp_path / "run"
    (folder / "translators" / f"{WAYS[1]}.fits").write_bytes(b"SIMPLE")
    content = (folder / "translated" / f"{WAYS[0]}.fits").read_bytes()
    (folder / "translated" / f"{WAYS[0]}.fits").write_bytes(content[:-2880])
    left = folder / "translated" / f".{WAYS[0]}.fits.0.tmp"  # of a killed run
    left.mkdir()
    (left / "part-00000.parquet").write_bytes(b"half")
    quickly(path)
    assert contents(folder) == contents(beside.folder)


def test_a_run_that_ends_while_translating_goes_on(beside, done, tmp_path):
    copied(done, tmp_path)
    path = write(tmp_path, beside.text)
    with mock.patch.object(stream, "write_catalogue", side_effect=KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            quickly(path)
    assert not (tmp_path / "run" / "comparison.ecsv").exists()
    assert not (tmp_path / "run" / "manifest.sha256").exists()
    quickly(path)
    assert contents(tmp_path / "run") == contents(beside.folder)


def test_another_seed_makes_other_translators_and_nothing_else(beside, done, tmp_path):
    copied(beside, tmp_path)
    quickly(write(tmp_path, beside.text + "seed = 5\n"))
    before, after = contents(beside.folder), contents(tmp_path / "run")
    changed = {name for name in after if after[name] != before[name]}
    assert changed - {"summary.json"} == NEW
    quickly(write(tmp_path, done.text))  # none asked for: they stay
    assert NEW <= set(contents(tmp_path / "run"))


def test_status_counts_translators(beside, done, tmp_path):
    path = spoiled(beside, tmp_path, f"translated/{WAYS[1]}.fits")
    lines = [" ".join(line.split()) for line in status(load(path))]
    assert lines[-3:-1] == ["translators 2 of 2", "translated 1 of 2"]
    assert not any("translat" in line for line in status(done.config))


def test_info_knows_held_out_stars(beside, training_stars):
    path = beside.folder / "translators" / f"{WAYS[0]}-held-out.fits"
    found = dict(describe(path))
    assert found["rows"] == f"{len(training_stars)}"
    assert "fe_h_galah, e_fe_h_galah" in found["columns"]


# ---- refused at once


def test_too_few_stars_show_before_packing(done, tmp_path):
    path = write(tmp_path, done.text + ASKED)
    expected = r"no translator apogee-to-galah can be trained \(\d+ of \d+ stars"
    with pytest.raises(InputError, match=expected):
        go(path)
    assert not (tmp_path / "run").exists()


def test_libraries_that_are_missing_show_before_packing(done, tmp_path, monkeypatch):
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if name == "optax" else name
    )
    path = write(tmp_path, done.text + ASKED)
    with pytest.raises(InputError, match=r"is 3, which needs optax: install fastcan"):
        go(path)
    assert not (tmp_path / "run").exists()


def test_settings_of_translators_that_cannot_be(done, tmp_path):
    text = done.text + "\n[translate]\nnetworks = -1\nseeds = 3\n"
    with pytest.raises(InputError) as error:
        load(write(tmp_path, text))
    assert "translate.networks: is -1; expected a whole number >= 0" in str(error.value)
    assert "translate.seeds: is not known (did you mean 'seed'?)" in str(error.value)
    assert done.config.translate == Translate(0, 0)


def test_a_run_without_translators_does_not_load_jax():
    program = "import sys, fastcannon.run; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


# ---- columns and numbers


def made_up(n=400, seed=3):
    """Stars with labels of surveys a and b, and what both methods make of them."""
    rng = np.random.default_rng(seed)
    teff = rng.uniform(4000, 6500, n)
    stars = Table({"star_id": [f"s{k}" for k in range(n)]})
    stars["teff_b"] = teff
    stars["teff_a"] = teff + 100 + 0.02 * (teff - 5000)
    stars["e_teff_a"] = np.full(n, 40.0)
    stars["snr_a"] = np.full(n, 100.0)
    noise = rng.standard_normal(n)
    validation = Table({"id": stars["star_id"], "teff_given": teff})
    validation["teff"] = teff + 5 + 20 * noise
    validation["e_teff"] = np.full(n, 3.0)
    validation["status"] = np.zeros(n, int)
    held = Table({"star_id": stars["star_id"], "teff_b": teff - 2 + 60 * noise})
    held["e_teff_b"] = np.full(n, 55.0)
    scale = Scale(("teff",), None, None, np.array([2.0]), [None], 9.0)
    return stars, Case("a-on-b", "a", "b", "", validation), held, scale


def compared(stars, case, held, scale):
    given = ({case.name: one} for one in (held, case, scale))
    return comparison_table(("teff",), stars, *given)


def test_bias_scatter_slopes_and_errors():
    table = compared(*made_up())
    cannon, other, own = table
    assert table["method"].tolist() == list(METHODS)
    assert (table["stars"] == 400).all()
    # The same noise, drawn once: exact ratios. Median of 400: 20 x 0.06.
    assert cannon["scatter"] * 3 == pytest.approx(other["scatter"], rel=1e-9)
    assert cannon["bias"] == pytest.approx(5, abs=3)
    assert own["bias"] == pytest.approx(0, abs=1e-9)
    assert own["slope_teff"] == pytest.approx(20.0, rel=1e-9)  # K per 1000 K
    assert abs(cannon["slope_teff"]) < 4 * cannon["e_slope_teff"]
    assert table["error"].tolist() == [6.0, 55.0, 40.0]  # 3 K times the factor 2
    lines = comparison_lines(table)
    assert lines[1] == "a-on-b, 400 stars" and "cannon" in lines[3]


def test_all_methods_have_the_same_stars():
    stars, case, held, scale = made_up()
    case.validation["status"][:10] = 1 << 1  # not converged
    held["teff_b"][5:20] = np.nan
    held = held[::-1]  # in any order, and not all
    held.remove_rows(np.arange(7))
    stars["teff_a"][50] = np.nan
    table = compared(stars, case, held, scale)
    assert (table["stars"] == 400 - 20 - 7 - 1).all()
    assert np.isfinite(table["scatter"]).all()


def test_no_star_in_common_gives_no_numbers():
    stars, case, held, scale = made_up()
    held["teff_b"] = np.nan
    stars.remove_column("e_teff_a")
    table = compared(stars, case, held, scale)
    assert (table["stars"] == 0).all()
    for name in ("bias", "scatter", "slope_teff", "error"):
        assert np.isnan(table[name]).all()


def test_residuals_are_of_the_stars_held_out():
    """In the report: the same stars before and after, whatever the order."""
    stars, _, held, _ = made_up(6)
    held = held[[4, 0, 3]]
    run = SimpleNamespace(names=("teff",), training=stars, held_out={("a", "b"): held})
    (found,) = section._residuals(run, ("a", "b"))
    there = [True, False, False, True, True, False]
    for values in found[2:]:
        assert np.isfinite(values).tolist() == there
    after = dict(zip(held["star_id"], held["teff_b"], strict=True))
    for k in np.flatnonzero(there):
        given = stars["teff_b"][k]
        assert found.given[k] == given
        assert found.before[k] == stars["teff_a"][k] - given
        assert found.after[k] == after[f"s{k}"] - given


def test_inputs_are_the_surveys_own_labels():
    stars = Table({"star_id": ["x", "y"], "vmicro_a": [1.0, 1.1]})
    stars["vmicro_a_given"] = [1.5, 1.6]  # was replaced by a relation
    stars["e_vmicro_a"] = [0.1, np.nan]
    stars["vmicro_b"], stars["e_vmicro_b"] = [1.2, 1.3], [np.nan, np.nan]
    found = translators.training_columns("a", "b", ("vmicro",), stars)
    assert found.colnames == ["star_id", "vmicro", "vmicro_b", "e_vmicro"]
    assert found["vmicro"].tolist() == [1.5, 1.6] and str(found["vmicro"].unit)
    back = translators.training_columns("b", "a", ("vmicro",), stars)
    assert back["vmicro_a"].tolist() == [1.0, 1.1]  # what the Cannon learns
    assert back["vmicro"].tolist() == [1.2, 1.3]


# ---- the report and the demonstration


@pytest.fixture
def book(beside):
    """A book whose figures are drawn, with every warning an error, and not saved."""
    drawn = {}

    def figure(name, caption, alt, function, *arguments):
        drawn[name] = function(*arguments)
        return name

    run = RunData.read(beside.folder)
    return SimpleNamespace(run=run, figure=figure, table=lambda one: one, drawn=drawn)


def test_the_report_shows_both_methods(book):
    (found,) = section.translator_section(book)
    kinds = ("residuals", "importance", "history")
    assert set(book.drawn) == {
        "comparison",
        *(f"translator-{kind}-{way}" for kind in kinds for way in WAYS),
    }
    assert found.figures == list(book.drawn) and not found.notes
    assert not book.run.missing
    form = found.tables[0]
    assert len(form.rows) == 2 * len(NAMES) * len(METHODS)
    assert all(len(row) == len(form.heads) == 10 for row in form.rows)
    assert "Processor time of apogee-on-galah: the Cannon " in found.text
    panels = book.drawn["comparison"].axes
    assert [ax.get_title() for ax in panels] == ["apogee-on-galah", "galah-on-apogee"]
    ratio = panels[1].containers[0].lines[0].get_xdata()
    rows = {(r["case"], r["label"], r["method"]): r for r in book.run.comparison}
    for label, shown in zip(NAMES, ratio, strict=True):
        own, base = (
            rows["galah-on-apogee", label, method]["scatter"]
            for method in ("cannon", "identity")
        )
        assert shown == pytest.approx(own / base)


def test_the_report_of_a_run_that_has_just_begun(book, beside, tmp_path):
    copied(beside, tmp_path, "comparison.ecsv", "timings.json", "*-held-out.fits")
    (tmp_path / "run" / "translators" / f"{WAYS[0]}.fits").write_bytes(b"SIMPLE")
    book.run = RunData.read(tmp_path / "run")
    (found,) = section.translator_section(book)
    assert found.notes == ["There is no comparison with the Cannon yet."]
    ends = {name.rpartition(f"-{WAYS[1]}")[0] for name in found.figures}
    assert ends == {"translator-importance", "translator-history"}
    missing = "\n".join(book.run.missing)
    assert f"translators/{WAYS[0]}.fits cannot be read" in missing
    assert f"translators/{WAYS[1]}-held-out.fits: not there yet" in missing
    assert "Processor time" not in found.text


def test_a_translator_of_other_labels_is_a_note(book, beside, tmp_path):
    copied(beside, tmp_path)
    path = tmp_path / "run" / "translators" / f"{WAYS[0]}.fits"
    with fits.open(path) as hdus:
        changed = [hdu.copy() for hdu in hdus]
    inputs = next(hdu for hdu in changed if hdu.name == "INPUTS")
    inputs.data["name"] = [f"x{name}" for name in inputs.data["name"]]
    path.unlink()  # a link: its target is not ours
    write_hdus(path, changed, "Translator", 1)
    book.run = RunData.read(tmp_path / "run")
    section.translator_section(book)
    assert f"translator-importance-{WAYS[1]}" in book.drawn
    assert f"translator-importance-{WAYS[0]}" not in book.drawn
    assert f"translators/{WAYS[0]}.fits cannot be read" in book.run.missing[0]


def test_importance_is_of_the_inputs_that_the_translator_has(book, beside):
    """Fewer than the run has labels, and in another order."""
    whole = Translator.read(beside.folder / "translators" / f"{WAYS[0]}.fits")
    some = SimpleNamespace(importance=lambda *given: whole.importance(*given)[[2, 0]])
    shares = section._importance(book.run, ("apogee", "galah"), some)
    assert shares["input"].tolist() == [f"{NAMES[k]}_apogee" for k in (2, 0)]


def test_a_run_without_translators_has_no_such_section(book, done):
    book.run = RunData.read(done.folder)
    assert section.translator_section(book) == []
    assert not book.run.missing


def test_costs_that_are_not_known_are_said_so():
    costs = {
        "a-on-a": {"cannon": {"training": 1.0}},
        "a-on-b": {"cannon": {"per_1000": 0.512}, "translator": {"training": 9.87}},
    }
    (sentence,) = section.cost_sentences(costs)
    assert sentence.startswith("Processor time of a-on-b: the Cannon an unknown time")
    assert "0.512 s for 1,000 stars" in sentence and "9.87 s" in sentence


def test_damaged_timings_are_as_none(tmp_path):
    (tmp_path / "timings.json").write_text('{"a-on-b": 3}')
    assert read_timings(tmp_path) == {} == read_timings(tmp_path / "none")


def test_times_are_kept_beside_each_other(done, tmp_path):
    folder = RunFolder(replace(done.config, output=tmp_path))
    folder.spent("a-on-b", "cannon", training=2.0)
    folder.spent("a-on-b", "cannon", per_1000=1.0)
    folder.spent("a-on-b", "translator", training=3.0)
    assert read_timings(tmp_path) == {
        "a-on-b": {
            "cannon": {"training": 2.0, "per_1000": 1.0},
            "translator": {"training": 3.0},
        }
    }


def test_the_demonstration_has_translators_where_it_can(done, beside, monkeypatch):
    assert demo._with_translators(done.config).translate == Translate(10, 0)
    line = demo._comparison_line(Table.read(beside.folder / "comparison.ecsv"))
    assert line.startswith("comparison.ecsv: galah-on-apogee, scatter of fe_h (dex): ")
    assert "by cannon" in line and "by translator" in line and "by identity" in line
    monkeypatch.setattr(demo, "missing", lambda extra: ["jax"])
    assert demo._with_translators(done.config).translate == Translate(0, 0)
