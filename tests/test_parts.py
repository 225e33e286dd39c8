"""The work on one packed part, as workers do it."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from toy import NAMES, toy

from fastcannon import CannonModel, fitsfiles, fitsheaders, kinds, parts
from fastcannon.catalogue import FLAGS, Scale, clean, columns
from fastcannon.catalogue_files import read_partition
from fastcannon.digests import file_digest
from fastcannon.errors import FileFormatError
from fastcannon.fitsfiles import hdu_to_table
from fastcannon.joining import STARS
from fastcannon.parts import Inference, Partition
from fastcannon.runfolder import PLAN
from fastcannon.spectrawriter import write_spectra

N = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with two models, a packed part, its labels, stars and calibration."""
    folder = tmp_path_factory.mktemp("parts")
    sample = toy(n=60, p=40)
    grid = np.arange(5000.0, 5040.0)
    for name, degree in (("one", 2), ("two", 1)):
        model = CannonModel(NAMES, degree=degree)
        model.train(*sample.training, grid)
        model.write(folder / f"{name}.fits")
    ids = {"id": [f"s{i}" for i in range(N)]}
    write_spectra(
        folder / "part.fits", *[x[:N] for x in sample.spectra], grid, ids, True
    )
    inference = Inference(
        str(folder / "part.fits"),
        tuple(
            (str(p), file_digest(p)) for p in (folder / "one.fits", folder / "two.fits")
        ),
        (str(folder / "labels-one.fits"), str(folder / "labels-two.fits")),
        ("plan one", "plan two"),
        2,
        N,
    )
    assert parts.infer_part(inference) > 0  # seconds
    assert fits.getheader(inference.paths[0])[kinds.BAD_PIXELS] == 0
    scale = Scale(NAMES, sample.labels, np.ones(3), np.ones(3), [None] * 3, 50.0)
    digest = parts.write_scale(folder / "scale.json", scale)
    write_stars(folder / "stars.fits")
    task = Partition(
        str(folder / "stars.fits"),
        str(folder / "labels-one.fits"),
        (str(folder / "scale.json"), digest),
        str(folder / "rows.parquet"),
        {"case": "a-on-b", "stars": "x"},
    )
    return folder, sample, inference, task


def write_stars(path, rows=(1, 3, 7)):
    """Write the survey's values of some spectra."""
    table = Table({"row": np.array(rows)})
    for column in columns(NAMES):
        kind = np.dtype(column.dtype).kind
        if kind == "U":
            table[column.name] = [f"s{i}" for i in rows]
        else:
            table[column.name] = np.zeros(len(rows), column.dtype)
    table["flag_training"] = np.array([0, 1, 1], np.int16)
    table["snr"] = table["snr_spectrum"] = 99.0
    table["catalogued"] = np.array([True, True, False])
    fitsfiles.write_table(path, table, STARS)


def read(path):
    with fits.open(path) as hdus:
        return hdus[0].header, hdu_to_table(hdus[1])


def test_a_part_is_inferred_by_every_model(world):
    _, sample, task, _ = world
    for (path, _), out, plan in zip(task.models, task.paths, task.plans, strict=True):
        header, table = read(out)
        assert header[PLAN] == plan and list(table["id"]) == [f"s{i}" for i in range(N)]
        model = CannonModel.read(path)
        expected = model.infer(*[x[:N] for x in sample.spectra], starts=2)
        for k, name in enumerate(NAMES):
            np.testing.assert_allclose(table[name], expected.labels[:, k], rtol=1e-9)
    one, two = (read(path)[1]["teff"] for path in task.paths)
    assert (one != two).all()


def test_a_model_that_was_replaced_is_read_again(world, tmp_path):
    """The digest belongs to the key of what a worker keeps."""
    _, _, task, _ = world
    first, second = task.models
    path = tmp_path / "model.fits"
    for model, kept in ((first, task.paths[0]), (second, task.paths[1])):
        path.write_bytes(Path(model[0]).read_bytes())
        out = str(tmp_path / "labels.fits")
        again = task._replace(
            models=((str(path), model[1]),), paths=(out,), plans=("plan",)
        )
        parts.infer_part(again)
        np.testing.assert_array_equal(read(out)[1]["teff"], read(kept)[1]["teff"])


def test_rows_of_a_part_are_written_with_their_counts(world):
    _, _, inference, task = world
    counts = parts.catalogue_part(task)
    table, facts = read_partition(task.path)
    labels = read(inference.paths[0])[1]
    assert facts == task.facts and list(table["survey_id"]) == ["s1", "s3", "s7"]
    np.testing.assert_array_equal(
        table["teffCann"], labels["teff"][[1, 3, 7]].astype("f4")
    )
    assert counts["rows"] == 3 and counts["NOT_CATALOGUED"] == 1
    assert counts["training stars"] == 1 and counts["clean"] == clean(table).sum()
    assert counts == parts.finished_partition(task)


def test_what_is_finished_is_of_the_same_facts_and_undamaged(world, tmp_path):
    _, _, _, task = world
    parts.catalogue_part(task)
    content = Path(task.path).read_bytes()
    other = task._replace(facts=task.facts | {"stars": "y"})
    assert parts.finished_partition(other) is None
    path = tmp_path / "rows.parquet"
    here = task._replace(path=str(path))
    assert parts.finished_partition(here) is None
    for damaged in (content[:-9], content[:50], b""):
        path.write_bytes(damaged)
        assert parts.finished_partition(here) is None
    path.write_bytes(content)
    assert parts.finished_partition(here)["rows"] == 3


def test_damaged_tables_make_no_catalogue(world, tmp_path):
    _, _, _, task = world
    content = bytearray(Path(task.labels).read_bytes())
    content[-2800] ^= 0xFF
    (tmp_path / "labels.fits").write_bytes(content)
    bad = task._replace(
        labels=str(tmp_path / "labels.fits"), path=str(tmp_path / "rows.parquet")
    )
    with pytest.raises(FileFormatError, match=r"labels.fits.*checksum"):
        parts.catalogue_part(bad)
    assert not (tmp_path / "rows.parquet").exists()


def test_counts_of_partitions_add_up():
    def rows(**given):
        names = ("flag_id", "flag_Cannon_dist", "flag_survey", "flag_snr")
        names += ("flag_training", "flag_sp_aspcap", "flag_spectra", "flag_fastcannon")
        table = Table({name: np.zeros(3, int) for name in names})
        for name, values in given.items():
            table[name] = values
        return table

    bits = FLAGS["NOT_CONVERGED"] | FLAGS["FORMAL_ERRORS"]
    first = parts.counts_of(rows(flag_fastcannon=[0, bits, FLAGS["FORMAL_ERRORS"]]))
    assert (first["rows"], first["clean"], first["training stars"]) == (3, 2, 3)
    assert (first["NOT_CONVERGED"], first["FORMAL_ERRORS"], first["NO_DATA"]) == (
        1,
        2,
        0,
    )
    second = parts.counts_of(rows(flag_snr=[1, 0, 1], flag_training=[1, 1, 0]))
    assert (second["clean"], second["flag_snr"], second["training stars"]) == (1, 2, 1)
    total = parts.add_counts([first, second])
    assert total.keys() == first.keys()
    assert all(total[name] == first[name] + second[name] for name in total)
    assert set(FLAGS) <= set(total)


def test_tables_of_a_part_are_of_their_kinds(world):
    _, _, _, task = world
    assert fitsheaders.read_kind(task.stars)[0] == STARS
    assert fitsheaders.read_kind(task.labels)[0] == kinds.LABELS
