"""What the report reads of a run: all of it, or what is there and what is missing."""

import shutil

import numpy as np
import pytest
from astropy.table import Table
from small_run import CASES, NAMES, copied

from fastcannon.catalogue import columns
from fastcannon.errors import InputError
from fastcannon.report.glance import glance
from fastcannon.report.rundata import PIPELINES, RunData

SURVEYS = ("apogee", "galah")
PARTITION = "catalogues/galah-scaled/galah-00000.parquet"


@pytest.fixture(scope="module")
def whole(done):
    return RunData.read(done.folder)


@pytest.fixture
def folder(done, tmp_path):
    """A copy that a test may spoil."""
    copied(done, tmp_path)
    return tmp_path / "run"


def spoil(path):
    """Change bytes in the middle of a file; texts are cut short."""
    content = bytearray(path.read_bytes())
    if path.suffix in (".ecsv", ".json"):
        path.write_bytes(content[: len(content) // 3])
        return
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - one for one in content[middle:][:64])
    path.write_bytes(content)


def test_all_of_a_finished_run_is_there(whole, done):
    assert whole.missing == []
    assert (whole.surveys, whole.names) == (SURVEYS, NAMES)
    assert list(whole.validation) == list(whole.models) == CASES == whole.cases
    assert list(whole.scales) == CASES
    assert list(whole.differences) == [PIPELINES, *SURVEYS]
    assert whole.differences["galah"].meta["surveys"] == list(SURVEYS)
    assert len(whole.training) == len(whole.validation["galah-on-apogee"])
    assert whole.summary["catalogues"] == done.summary["catalogues"]
    assert len(whole.factors) == len(CASES) * len(NAMES)
    assert set(whole.fits) <= set(CASES) and whole.precision is not None
    assert list(whole.packed) == list(whole.partitions) == list(SURVEYS)


@pytest.mark.parametrize("scale", SURVEYS)
def test_catalogue_columns_are_those_of_the_file(whole, scale):
    table = Table.read(
        whole.folder / "catalogues" / f"{scale}-scaled.fits",
        unit_parse_strict="silent",
    )
    names = [one.name for one in columns(whole.names)]
    found = whole.catalogue(scale, names)
    assert list(found) == [*names, "survey"]
    for name in names:
        expected = np.asarray(table[name])
        expected = np.char.rstrip(expected) if expected.dtype.kind == "S" else expected
        np.testing.assert_array_equal(found[name], expected, name)
    assert found["teffCann"].dtype == np.float32
    assert found["dr3_source_id"].dtype == np.int64
    # APOGEE's spectra, survey 0 here, have flag_id 1.
    np.testing.assert_array_equal(found["survey"], 1 - found["flag_id"])


def test_only_runs_are_read(tmp_path, folder):
    with pytest.raises(InputError, match=r"not the output folder.*run\.json.*give"):
        RunData.read(tmp_path)
    for text in ("{", '{"match.surveys": ["a"], "labels.names": ["teff"]}', "[]", "{}"):
        (folder / "run.json").write_text(text)
        with pytest.raises(InputError, match="does not name two surveys"):
            RunData.read(folder)


@pytest.mark.parametrize(
    "name",
    [
        *("training.fits", "validation/apogee-on-galah.fits", "differences.ecsv"),
        *("differences-galah-scaled.ecsv", "factors.ecsv", "precision.ecsv"),
        *("calibration/galah-on-galah.json", "summary.json"),
    ],
)
def test_a_missing_or_damaged_file_is_named_and_the_rest_read(folder, whole, name):
    spoil(folder / name)
    damaged = RunData.read(folder)
    (folder / name).unlink()
    without = RunData.read(folder)
    assert len(damaged.missing) == len(without.missing) == 1
    assert damaged.missing[0].startswith(f"{name} cannot be read (")
    assert (
        without.missing[0] == f"{name}: not there yet; fastcannon run CONFIG makes it"
    )
    assert str(folder) not in damaged.missing[0]
    for found in (damaged, without):
        lost = [
            whole.training is not None and found.training is None,
            len(whole.validation) > len(found.validation),
            len(whole.differences) > len(found.differences),
            found.factors is None,
            found.precision is None,
            len(whole.scales) > len(found.scales),
            not found.summary,
        ]
        assert sum(lost) == 1
        glance(found)


def test_a_run_that_has_just_begun(folder):
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "run.json":
            path.unlink()
    run = RunData.read(folder)
    assert run.surveys == SURVEYS and run.training is None and run.validation == {}
    assert "packed/galah: no spectra; fastcannon run CONFIG makes it" in run.missing
    assert any("catalogues/galah-scaled: no stars of apogee" in m for m in run.missing)
    assert run.missing[-1].startswith("manifest.sha256: not there, so the run is not")
    with pytest.raises(InputError, match=r"no catalogue galah-scaled, only none"):
        run.catalogue("galah", ["teffCann"])
    seen = glance(run)
    assert (seen.facts, seen.scatter, seen.flags) == ([], [], [])
    assert seen.missing == run.missing


def test_damaged_partitions_are_left_out_and_named_once(folder, whole):
    spoil(folder / PARTITION)
    run = RunData.read(folder)
    found = run.catalogue("galah", ["teffCann", "survey_id"])
    run.catalogue("galah", ["teffCann", "survey_id"])
    expected = whole.catalogue("galah", ["teffCann"])
    assert 0 < len(found["teffCann"]) == len(found["survey"]) < len(expected["survey"])
    assert [one.split(" ")[0] for one in run.missing] == [PARTITION]
    assert str(folder) not in run.missing[0]


def test_a_column_that_is_not_there_is_named(whole):
    with pytest.raises(InputError, match=r"no column mgfeCann; it has survey_id"):
        whole.catalogue("galah", ["teffCann", "mgfeCann"])


def test_numbers_at_a_glance(whole, done):
    seen = glance(whole)
    counts = done.summary["catalogues"]
    assert seen.title == "APOGEE and GALAH on common scales"
    facts = {fact.words: fact.value for fact in seen.facts}
    assert facts["stars of GALAH"] == f"{counts['galah-scaled']['galah']['rows']:,}"
    clean = sum(one["clean"] for one in counts["apogee-scaled"].values())
    assert facts["clean stars, apogee-scaled"] == f"{clean:,}"
    assert facts["training stars"] == f"{len(whole.training):,}"
    assert [row.name for row in seen.scatter] == ["Teff", "log g", "[Fe/H]"]
    before, after = (
        whole.differences[key]["scatter_all"][2] for key in (PIPELINES, "apogee")
    )
    assert seen.scatter[2].before == f"{before:.3f}"
    scale, text, share = seen.scatter[2].after[0]
    assert (scale, text) == ("apogee-scaled", f"{after:.3f}")
    assert share == pytest.approx(after / before)
    assert seen.columns[1] == "GALAH\napogee-scaled"
    flags = {name: numbers for name, _, numbers in seen.flags}
    assert flags["flag_snr"][1] == f"{counts['apogee-scaled']['galah']['flag_snr']:,}"
