"""fastcannon translate: answers of the library, in blocks, and one line on errors."""

import logging
import sys

import distributed
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack
from translate_examples import INPUTS, OUTPUTS, draw_stars

from fastcannon import fitsfiles, fitsheaders
from fastcannon.catalogue_files import read_partition
from fastcannon.cli import main
from fastcannon.errors import InputError
from fastcannon.model import CannonModel
from fastcannon.translate import Settings, Translator, stream
from fastcannon.translate.apply import BLOCK
from fastcannon.translate.quality import BIT
from fastcannon.translate.tables import open_table, read_table

pytest.importorskip("optax", reason="fastcannon[translate] is not installed")

SETTINGS = ("width=8", "batch=64", "rates=3e-3", "epochs=4")
ROWS = 2 * BLOCK  # of a task in most tests


def run(action, *arguments, quiet=True):
    """Run a sub-command; returns the exit code."""
    last = ["--quiet"] if quiet else []
    return main(["translate", action, *map(str, arguments), *last])


def refused(capsys, action, *arguments):
    """Run a sub-command that must fail, check how, and return its sentence."""
    capsys.readouterr()
    assert run(action, *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("fastcannon: error: ")
    assert output.err.count("\n") == 1
    return output.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with common.fits, survey.fits and a.fits, trained by the command."""
    folder = tmp_path_factory.mktemp("translate")
    common = draw_stars(900)
    common["sigma"] = np.full(len(common), 30.0)
    fitsfiles.write_table(folder / "common.fits", common, "STARS")
    survey = vstack([draw_stars(4990, seed=1), common[:10]])
    survey = survey[[*INPUTS, *(f"e_{name}" for name in INPUTS)]]
    survey["star_id"] = [f"star {n}" for n in range(len(survey))]
    survey["source"] = np.arange(len(survey)) + 2**60
    survey["logg_a"].description = "surface gravity of A"
    survey["teff_a"][7] = np.nan
    survey["fe_h_a"][4100] = 4.0
    survey["good"] = survey["teff_a"] > 5000
    survey["visits"] = MaskedColumn(np.arange(len(survey)) % 5, dtype=np.int16)
    survey["visits"].mask = survey["visits"] == 0
    survey["spectrum"] = np.zeros((len(survey), 3))
    fitsfiles.write_table(folder / "survey.fits", survey, "STARS")
    assert train(folder, folder / "a.fits") == 0
    return folder


def train(folder, path, *options, table="common.fits"):
    return run(
        "train",
        folder / table,
        *("--inputs", *INPUTS, "--outputs", *OUTPUTS),
        *("--setting", *SETTINGS, "--ensemble", 2, "-o", path),
        *options,
    )


@pytest.fixture(scope="module")
def survey(folder):
    with fits.open(folder / "survey.fits") as hdus:
        return fitsfiles.hdu_to_table(hdus[1])


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(stream, "ROWS", ROWS)


@pytest.fixture(scope="module")
def answers(folder, survey):
    return Translator.read(folder / "a.fits").apply(survey)


def assert_same(found, answers):
    for name in answers.colnames:
        values = np.asarray(found[name])
        assert (values == np.asarray(answers[name])).all(), name


def test_training_gives_the_model_of_the_library(folder, tmp_path, capsys):
    settings = Settings(width=8, batch=64, rates=(3e-3,), epochs=4)
    with fits.open(folder / "common.fits") as hdus:
        table = fitsfiles.hdu_to_table(hdus[1])
    Translator(INPUTS, OUTPUTS, ensemble=2, settings=settings).train(table).write(
        tmp_path / "b.fits"
    )
    assert (tmp_path / "b.fits").read_bytes() == (folder / "a.fits").read_bytes()
    options = ("--seed", 3, "--no-errors", "--start", "teff_b=", "logg_b=logg_a")
    assert train(folder, tmp_path / "c.fits", *options) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:7] == [
        *("output", "unit", "identity", "linear", "quadratic", "networks", "blend")
    ]
    assert first.split()[:2] == ["teff_b", "K"] and second.split()[0] == "logg_b"
    other = Translator.read(tmp_path / "c.fits")
    assert other.seed == 3 and other.starts == (-1, 1)
    assert other.trained.inputs.errors == ("", "", "")
    row = other.summary()[0]
    assert first.split()[2:7] == [
        f"{row[k]:.1f}"
        for k in ("identity", "linear", "quadratic", "networks", "blend")
    ]


def test_columns_of_errors_and_settings_are_passed_on(folder, tmp_path):
    options = (
        "--errors",
        "teff_a=sigma",
        "--setting",
        "epochs=1",
        "redraw=true",
        "doublings=0",
    )
    assert train(folder, tmp_path / "c.fits", *options, "width=8", "--original") == 0
    found = Translator.read(tmp_path / "c.fits")
    assert found.trained.inputs.errors == ("sigma", "e_logg_a", "e_fe_h_a")
    expected = {**vars(Settings.original()), "redraw": True, "width": 8}
    expected |= {"epochs": 1, "doublings": 0}
    assert found.settings == Settings(**expected)


def test_blocks_give_what_the_whole_table_gives(
    folder, survey, answers, tmp_path, small_blocks, capsys
):
    path = tmp_path / "out.fits"
    capsys.readouterr()
    arguments = (folder / "a.fits", folder / "survey.fits", "-o", path, "--workers", 1)
    assert run("apply", *arguments, quiet=False) == 0
    fitsheaders.verify_checksums(path)
    with fits.open(path) as hdus:
        header, table_header = hdus[0].header, hdus[1].header
        found = fitsfiles.hdu_to_table(hdus[1])
    assert_same(found, answers)
    for name in (*INPUTS, "star_id", "source"):
        np.testing.assert_array_equal(found[name], survey[name])
        assert found[name].unit == survey[name].unit
    assert found["logg_a"].description == "surface gravity of A"
    assert found["teff_b_low"].unit == "K" and found["logg_b"].unit == "dex"
    assert "1 INPUT_MISSING" in found["translate_flag"].description
    assert (
        table_header["TUCD1"] == "" and "stat.error" in table_header["TUCD*"].values()
    )
    assert header["WRITER"].startswith("fastcannon ") and header["LEVEL"] == 0.68
    missing = np.ma.getmaskarray(survey["visits"])
    expected = np.where(missing, -9999, np.ma.getdata(survey["visits"]))
    np.testing.assert_array_equal(found["visits"], expected)
    np.testing.assert_array_equal(found["good"] == 1, survey["good"])
    flag = np.asarray(found["translate_flag"])
    assert flag[7] & BIT["INPUT_MISSING"] and flag[4100] & BIT["FAR"]
    out, err = capsys.readouterr()
    assert "not passed on: spectrum" in out
    assert f"5,000 rows; flagged: {(flag > 0).sum():,} (INPUT_MISSING 1, " in out
    assert err == ""
    assert [file.name for file in tmp_path.iterdir()] == ["out.fits"]


def test_workers_and_clusters_write_the_same_bytes(folder, tmp_path, small_blocks):
    arguments = ("apply", folder / "a.fits", folder / "survey.fits", "-o")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    ) as cluster:
        places = (
            ("--workers", 1),
            ("--workers", 2),
            ("--scheduler", cluster.scheduler_address),
        )
        for number, place in enumerate(places):
            assert run(*arguments, tmp_path / f"{number}.fits", *place) == 0
            assert run(*arguments, tmp_path / f"{number}", *place) == 0
    first = (tmp_path / "0.fits").read_bytes()
    names = sorted(file.name for file in (tmp_path / "0").iterdir())
    assert names == [f"part-{number:05d}.parquet" for number in range(3)]
    for number in (1, 2):
        assert (tmp_path / f"{number}.fits").read_bytes() == first
        for name in names:
            other = (tmp_path / f"{number}" / name).read_bytes()
            assert other == (tmp_path / "0" / name).read_bytes()


def test_partitions_are_read_again(folder, answers, tmp_path, small_blocks):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    arguments = ("--workers", 1)
    assert (
        run("apply", folder / "a.fits", folder / "survey.fits", "-o", one, *arguments)
        == 0
    )
    tables, facts = zip(*map(read_partition, sorted(one.iterdir())), strict=True)
    assert_same(vstack(list(tables)), answers)
    assert [fact["rows"] for fact in facts] == [[0, 2048], [2048, 4096], [4096, 5000]]
    # translated once more: what has the name of a result gives way to it
    again = ("--keep", "star_id", "--level", 0.95)
    assert run("apply", folder / "a.fits", one, "-o", two, *arguments, *again) == 0
    found = vstack([read_partition(path)[0] for path in sorted(two.iterdir())])
    assert found.colnames == ["star_id", *answers.colnames]
    np.testing.assert_array_equal(found["teff_b"], answers["teff_b"])
    assert (found["teff_b_low"] < answers["teff_b_low"]).all()
    assert found["teff_b"].unit == "K"


def test_a_table_in_several_files(folder, survey, tmp_path, small_blocks):
    """In the order given; the tasks are those of one run of the workers given."""
    paths = [tmp_path / name for name in ("z.fits", "a.fits")]
    parts = survey[:2500], survey[2500:]
    for path, rows in zip(paths, parts, strict=True):
        fitsfiles.write_table(path, rows, "STARS")
    # Products in single precision may round by the place of a row: file by file.
    translator = Translator.read(folder / "a.fits")
    answers = vstack([translator.apply(rows) for rows in parts])
    sizes = []

    def work(function, tasks, advance=None):
        sizes.extend(task.stop - task.start for task in tasks)
        return [function(task) for task in tasks]

    out = tmp_path / "o.fits"
    done = stream.translate_file(folder / "a.fits", paths, out, run=work)
    assert sizes == [2048, 452, 2048, 452] and done.rows == 5000
    found = read_table(out, ["source", *answers.colnames])
    assert_same(found, answers)
    np.testing.assert_array_equal(found["source"], survey["source"])
    both = read_table(list(map(str, paths)), ["source"])
    np.testing.assert_array_equal(both["source"], survey["source"])
    stream.translate_file(folder / "a.fits", paths, tmp_path / "here.fits")
    assert (tmp_path / "here.fits").read_bytes() == out.read_bytes()
    with pytest.raises(InputError, match="is also an input"):
        stream.translate_file(folder / "a.fits", paths, paths[1])
    with pytest.raises(InputError, match="or an empty list"):
        open_table([])


@pytest.mark.parametrize("name", ["stars.ecsv", "stars.csv", "stars.parquet"])
def test_other_formats_and_masks(folder, survey, answers, tmp_path, name):
    table = survey[:300].copy()
    table.remove_column("spectrum")
    for column in table.colnames:
        table[column].description = None
    table["teff_a"] = MaskedColumn(table["teff_a"])
    table["teff_a"].mask[[7, 8]] = True
    path = tmp_path / name
    if name.endswith("parquet"):
        columns = {
            column: arrow.array(table[column].tolist()) for column in table.colnames
        }
        parquet.write_table(arrow.table(columns), path, row_group_size=70)
    else:
        table.write(path)
    assert run("apply", folder / "a.fits", path, "-o", tmp_path / "o.fits") == 0
    with fits.open(tmp_path / "o.fits") as hdus:
        found = fitsfiles.hdu_to_table(hdus[1])
    flag = np.asarray(found["translate_flag"])
    assert np.flatnonzero(flag & BIT["INPUT_MISSING"]).tolist() == [7, 8]
    # numbers of these files may differ in the last bit
    np.testing.assert_allclose(found["teff_b"][9:], answers["teff_b"][9:300], rtol=1e-9)
    assert found["source"][5] == 2**60 + 5 and found["star_id"][299] == "star 299"
    assert found["visits"][0] == -9999


def test_rows_of_a_parquet_file_across_its_groups(folder, tmp_path):
    values = np.arange(1000)
    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.table({"a": values}), path, row_group_size=70)
    from fastcannon.translate.tables import read_rows

    (part,) = open_table(path)
    for start, stop in ((0, 1000), (69, 71), (140, 210), (999, 1000), (5, 5)):
        rows = read_rows(part, ["a"], start, stop)
        assert rows["a"].tolist() == values[start:stop].tolist()


def test_no_rows_and_no_columns(folder, survey, tmp_path):
    fitsfiles.write_table(tmp_path / "none.fits", survey[:0], "STARS")
    arguments = (folder / "a.fits", tmp_path / "none.fits", "-o", tmp_path / "o.fits")
    assert run("apply", *arguments, "--keep") == 0
    with fits.open(tmp_path / "o.fits") as hdus:
        assert len(hdus[1].data) == 0 and hdus[1].columns.names[0] == "teff_b"


def test_names_of_results_give_way(folder, tmp_path, capsys):
    arguments = (folder / "a.fits", folder / "common.fits", "-o", tmp_path / "o.fits")
    capsys.readouterr()
    assert run("apply", *arguments, quiet=False) == 0
    assert (
        "not passed on: teff_b, e_teff_b, logg_b, e_logg_b" in capsys.readouterr().out
    )
    text = refused(capsys, "apply", *arguments, "--keep", "teff_b")
    assert "teff_b cannot be kept: a result has this name" in text


def test_explain_prints_and_writes_the_importance(folder, survey, tmp_path, capsys):
    path = tmp_path / "importance.ecsv"
    arguments = (folder / "a.fits", folder / "survey.fits", "-o", path)
    capsys.readouterr()
    assert run("explain", *arguments, "--stars", 20, "--background", 10) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = Translator.read(folder / "a.fits").importance(survey, 20, 10)
    found = Table.read(path)
    np.testing.assert_allclose(found["teff_b"], expected["teff_b"], rtol=1e-12)
    assert found["teff_b"].unit == "K"
    assert lines[0].split() == ["input", *OUTPUTS]
    assert lines[1].split()[:2] == ["teff_a", f"{expected['teff_b'][0]:.1f}"]


def test_validate_compares_with_known_values(folder, tmp_path, capsys):
    new = draw_stars(3000, seed=9)
    new["logg_b"][:100] = np.nan
    fitsfiles.write_table(tmp_path / "new.fits", new, "STARS")
    path = tmp_path / "comparison.ecsv"
    capsys.readouterr()
    arguments = (folder / "a.fits", tmp_path / "new.fits", "-o", path)
    assert run("validate", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    found = Table.read(path)
    assert found["stars"].tolist() == [3000, 2900]
    made = Translator.read(folder / "a.fits").apply(new)
    away = np.asarray(made["teff_b"] - new["teff_b"])
    middle = np.median(away)
    assert found["bias"][0] == middle
    assert found["scatter"][0] == 1.4826 * np.median(abs(away - middle))
    # measured 74 K and 41.4 K
    assert found["scatter"][0] < 1.1 * found["quadratic"][0] < found["identity"][0]
    for k in range(2):
        assert found["inside_68"][k] == pytest.approx(0.68, abs=0.06)
        assert found["inside_95"][k] == pytest.approx(0.95, abs=0.03)
        assert found["pull"][k] == pytest.approx(1, abs=0.12)
    assert lines[1].split()[:3] == ["teff_b", "K", "3,000"]
    assert lines[3].startswith("flagged: ")


def test_validate_draws_figures(folder, tmp_path, capsys, monkeypatch):
    arguments = (folder / "a.fits", folder / "common.fits", "--figures", tmp_path / "f")
    assert run("validate", *arguments, quiet=False) == 0
    said = capsys.readouterr().out
    kinds = {"residuals", "history", "importance", "kiel"}
    assert {path.name for path in (tmp_path / "f").iterdir()} == {
        f"{kind}.{end}" for kind in kinds for end in ("png", "pdf")
    }
    assert all(f"{kind}.png" in said for kind in kinds)
    drawing = ("fastcannon.figures", "fastcannon.translate.pictures")
    for name in [name for name in sys.modules if name.startswith(drawing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "fastcannon[plot]" in refused(capsys, "validate", *arguments)


def test_columns_of_other_names(folder, survey, answers, tmp_path, capsys):
    names = {"teff_a": "TEFF", "e_teff_a": "TEFF_ERR", "logg_b": "LOGG_GALAH"}
    given = [f"{name}={column}" for name, column in names.items()]
    for path in ("survey.fits", "common.fits"):
        table = read_table(folder / path, open_table(folder / path)[0].names)
        for name, column in names.items():
            if name in table.colnames:
                table.rename_column(name, column)
        fitsfiles.write_table(tmp_path / path, table, "STARS")
    model, out = folder / "a.fits", tmp_path / "out.fits"
    arguments = (model, tmp_path / "survey.fits", "-o", out, "--keep", "TEFF")
    assert run("apply", *arguments, "--columns", *given[:2]) == 0
    found = read_table(out, ["TEFF", "teff_b"])
    np.testing.assert_array_equal(found["teff_b"], answers["teff_b"])
    np.testing.assert_array_equal(found["TEFF"], survey["teff_a"])
    capsys.readouterr()
    for action in ("validate", "explain"):
        assert run(action, model, folder / "common.fits") == 0
        expected = capsys.readouterr().out
        assert run(action, model, tmp_path / "common.fits", "--columns", *given) == 0
        assert capsys.readouterr().out == expected
    assert "--columns NAME=COLUMN" in refused(capsys, "apply", *arguments)
    for wrong, sentence in (("teff=TEFF", "no column teff;"), ("teff_a=", "missing")):
        said = refused(capsys, "apply", *arguments, "--columns", wrong)
        assert sentence in said


def test_info_describes_a_translator(folder, capsys):
    capsys.readouterr()
    assert main(["info", str(folder / "a.fits")]) == 0
    text = capsys.readouterr().out
    assert "teff_b (from teff_a), logg_b (from logg_a)" in text
    assert "900; 0 incomplete left out" in text


def test_training_tables_that_cannot_be_used(folder, tmp_path, capsys, monkeypatch):
    def fails(*options, table="common.fits"):
        capsys.readouterr()
        assert train(folder, tmp_path / "no.fits", *options, table=table) == 2
        assert not (tmp_path / "no.fits").exists()
        return capsys.readouterr().err

    assert "no column teff_b, logg_b" in fails(table="survey.fits")
    assert "start names rv" in fails("--start", "rv=teff_a")
    assert "--start teff_b: NAME=VALUE is expected" in fails("--start", "teff_b")
    assert "there is no such setting" in fails("--setting", "depth=3")
    assert "redraw=maybe: true or false is expected" in fails(
        "--setting", "redraw=maybe"
    )
    assert "width=wide: a number such as 32" in fails("--setting", "width=wide")
    assert "rates=a,b: numbers with commas" in fails("--setting", "rates=a,b")
    assert "no column star" in fails("--star", "star")
    with pytest.raises(SystemExit):
        fails("--no-errors", "--errors", "teff_a=sigma")
    few = Table.read(folder / "common.fits", unit_parse_strict="silent")[:150]
    few.write(folder / "few.ecsv", overwrite=True)
    assert "150 of 150 stars" in fails(table="few.ecsv")
    few[:0].write(folder / "none.ecsv", overwrite=True)
    assert "the table has no rows" in fails(table="none.ecsv")
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.delitem(sys.modules, "fastcannon.translate.training", raising=False)
    assert "fastcannon[translate]" in fails()


def test_outputs_that_cannot_be_written(folder, tmp_path, capsys):
    arguments = (folder / "a.fits", folder / "survey.fits", "-o")
    for out, words in (
        (folder / "a.fits", "is also an input"),
        (tmp_path / "no" / "o.fits", "does not exist; make it"),
        (tmp_path / "no" / "o.parquet", "does not exist; make it"),
        (tmp_path, "exists; give the name of a new folder"),
        (tmp_path / "o.csv", "end its name in .fits or .parquet"),
    ):
        assert words in refused(capsys, "apply", *arguments, out)
    for action in ("explain", "validate"):
        assert "is also an input" in refused(
            capsys, action, *arguments, folder / "a.fits"
        )
    assert list(tmp_path.iterdir()) == []


def test_tables_that_cannot_be_translated(folder, survey, tmp_path, capsys):
    def fails(table, *options):
        path = tmp_path / "t.fits"
        fitsfiles.write_table(path, table, "STARS")
        arguments = (folder / "a.fits", path, "-o", tmp_path / "o.fits")
        text = refused(capsys, "apply", *arguments, "--workers", 1, *options)
        assert [file.name for file in tmp_path.iterdir()] == ["t.fits"]
        return text

    few = survey[:50]
    lost = few.copy()
    lost.remove_column("teff_a")
    assert "no column teff_a" in fails(lost)
    lost = few.copy()
    lost.remove_column("e_teff_a")
    assert "train with --no-errors" in fails(lost)
    thousands = few.copy()
    thousands["teff_a"] /= 1000
    assert "in thousands of K" in fails(thousands)
    text = few.copy()
    text["teff_a"] = [f"{value}" for value in text["teff_a"]]
    assert "column teff_a has type" in fails(text)
    assert "level is 68.0" in fails(few, "--level", "68")
    assert "no column gaia" in fails(few, "--keep", "gaia")


def test_files_that_are_something_else(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("this is\nno table, really\n")
    fits.PrimaryHDU().writeto(tmp_path / "image.fits")
    content = (folder / "survey.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[: len(content) // 2])
    out = ("-o", tmp_path / "o.fits", "--workers", 1)
    for name, words in (
        ("empty", "a folder without Parquet files"),
        ("text.txt", "no table that can be read"),
        ("image.fits", "a FITS file without a table"),
        ("cut.fits", "5,000 rows of 92 bytes are announced"),
        ("absent.fits", "No such file"),
    ):
        path = tmp_path / name
        assert words in refused(capsys, "apply", folder / "a.fits", path, *out)
    damaged = bytearray((folder / "a.fits").read_bytes())
    damaged[len(damaged) // 2] ^= 0x11
    (tmp_path / "damaged.fits").write_bytes(damaged)
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(30, 2))
    flux = 1 + 0.1 * labels @ rng.normal(size=(2, 5))
    model = CannonModel(["teff", "logg"]).train(labels, flux, np.full((30, 5), 1e4))
    model.write(tmp_path / "cannon.fits")
    for name, words in (
        ("damaged.fits", "damaged"),
        ("cannon.fits", "of kind CannonModel; one of kind Translator"),
        ("text.txt", "not a FITS file"),
    ):
        for action, last in (("apply", out), ("explain", ()), ("validate", ())):
            text = refused(
                capsys, action, tmp_path / name, folder / "survey.fits", *last
            )
            assert words in text
    assert "no column teff_b" in refused(
        capsys, "validate", folder / "a.fits", folder / "survey.fits"
    )
    assert not (tmp_path / "o.fits").exists()


def test_text_that_fits_cannot_hold(folder, survey, tmp_path, capsys):
    table = survey[:20].copy()
    table.remove_columns(["spectrum", "visits"])
    table["star_id"] = ["\N{GREEK SMALL LETTER ALPHA} Cen"] * 20
    table.write(tmp_path / "t.ecsv")
    arguments = ("apply", folder / "a.fits", tmp_path / "t.ecsv", "--workers", 1, "-o")
    assert "star_id: text that is not ASCII" in refused(
        capsys, *arguments, tmp_path / "o.fits"
    )
    assert run(*arguments, tmp_path / "o.parquet") == 0
    found = read_table(tmp_path / "o.parquet", ["star_id", "teff_b"])
    assert found["star_id"][3] == table["star_id"][3]
