"""Packing survey files and reading them back, on a small simulated survey."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastcannon import surveys
from fastcannon.errors import FileFormatError, InputError, WriteError
from fastcannon.pack import pack
from fastcannon.packed import PackedSurvey, best_and_others, independent_pairs
from fastcannon.simulator import simulate
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra

STARS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated survey of few stars."""
    folder = tmp_path_factory.mktemp("pack") / "surveys"
    simulate(folder, STARS, overlap=8, seed=5, processes=1)
    return folder


@pytest.fixture(scope="module")
def apogee(folder):
    return sorted((folder / "apogee/spectra").rglob("*.fits"))


@pytest.fixture(scope="module")
def galah(folder):
    return sorted((folder / "galah/spectra").rglob("*.fits"))


def contents(folder):
    """The bytes of all packed files, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


@pytest.mark.parametrize("name", ["apogee", "galah"])
def test_packed_is_what_the_reader_gives(name, tmp_path, request):
    files = request.getfixturevalue(name)
    options = {"visits": True} if name == "apogee" else {}
    read = surveys.read(name, files, **options)
    done = []
    made = pack(
        name, files[::-1], tmp_path, options, stars_per_part=7, progress=done.append
    )
    assert made.n_spectra == len(read) and sum(done) == made.n_groups
    assert made.refused == read.refused
    assert [path.name for path in made.paths][:2] == [
        "part-00000.fits",
        "part-00001.fits",
    ]
    with PackedSurvey.open(tmp_path) as packed:
        assert packed.n_stars == len(read) and packed.medium == read.medium
        assert packed.normalised == read.normalised == (name == "galah")
        np.testing.assert_array_equal(packed.wavelength, read.wavelength)
        order = packed.rows(read.table["id"])
        assert sorted(order) == list(range(len(read)))
        flux, ivar = packed.read(order)
        np.testing.assert_array_equal(flux, read.flux)
        np.testing.assert_array_equal(ivar, read.ivar)
        stars = packed.stars[order]
        for column in read.table.colnames:
            np.testing.assert_array_equal(stars[column], read.table[column])
        assert packed.rows(["no such star"]) == [-1]
        starts = [start for start, *_ in packed.blocks(5)]
        assert starts[:3] == [0, 5, 7] or packed.parts[0].n_stars != 7
        for part in packed.parts:
            part.verify()


def test_bytes_do_not_depend_on_processes_or_order(apogee, tmp_path):
    pack("apogee", apogee, tmp_path / "a", stars_per_part=8, processes=1)
    pack("apogee", apogee[::-1], tmp_path / "b", stars_per_part=8, processes=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_finished_parts_are_kept_and_changed_ones_written_again(apogee, tmp_path):
    files = [tmp_path / "in" / path.name for path in apogee]
    files[0].parent.mkdir()
    for source, path in zip(apogee, files, strict=True):
        shutil.copy(source, path)
    out = tmp_path / "out"
    first = pack("apogee", files, out, stars_per_part=8, processes=1)
    before = contents(out)
    again = pack("apogee", files, out, stars_per_part=8, processes=1)
    assert (first.kept, again.kept) == (0, len(first.paths))
    first.paths[1].unlink()
    assert pack("apogee", files, out, stars_per_part=8).kept == len(first.paths) - 1
    assert contents(out) == before
    # A changed input, or another option, changes the part it belongs to.
    os.utime(files[0], (1, 1))
    changed = pack("apogee", files, out, stars_per_part=8, processes=1)
    assert changed.kept == len(first.paths) - 1
    visits = {"visits": True}
    assert pack("apogee", files, out, visits, stars_per_part=8, processes=1).kept == 0
    # Fewer, larger parts: what is not of the new plan is removed.
    pack("apogee", files, out, stars_per_part=100, processes=1)
    assert len(list(out.glob("part-*"))) == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_ends_in_the_same_bytes(apogee, tmp_path, processes):
    pack("apogee", apogee, tmp_path / "whole", stars_per_part=2, processes=1)
    expected = contents(tmp_path / "whole")
    out = tmp_path / "killed"
    script = (
        "import sys; from pathlib import Path; from fastcannon.pack import pack\n"
        "if __name__ == '__main__':\n"
        "    files = sorted(Path(sys.argv[1]).rglob('*.fits'))\n"
        "    options = {'visits': sys.argv[3] == 'visits'}\n"
        "    pack('apogee', files, sys.argv[2], options, 2, int(sys.argv[4]))\n"
    )
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, tmp_path / "script.py", apogee[0].parents[2], out]
    kills = 0
    for pause, option in ((0.0, "visits"), (0.01, "combined")):
        process = subprocess.Popen([*map(str, command), option, str(processes)])
        before = len(list(out.glob("part-*")))
        while process.poll() is None and len(list(out.glob("part-*"))) <= before:
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 1 and out.exists()
    # At once: what the killed run had begun must not come in between.
    options = {"visits": False}
    pack("apogee", apogee, out, options, stars_per_part=2, processes=1)
    pack("apogee", apogee, tmp_path / "whole", options, stars_per_part=2, processes=1)
    expected = contents(tmp_path / "whole")
    assert contents(out) == expected
    time.sleep(1)
    assert contents(out) == expected
    assert not list(out.glob(".part-*"))


def test_damaged_parts_are_written_again(apogee, tmp_path):
    made = pack("apogee", apogee, tmp_path, stars_per_part=8, processes=1)
    expected = contents(tmp_path)
    content = bytearray(made.paths[1].read_bytes())
    content[100_000:100_100] = bytes(100)
    made.paths[1].write_bytes(content)
    again = pack("apogee", apogee, tmp_path, stars_per_part=8, processes=1)
    assert again.kept == len(made.paths) - 1
    assert contents(tmp_path) == expected


def test_faults_of_the_system_are_tried_again(apogee, tmp_path, monkeypatch):
    read_group = surveys.get("apogee").read_group

    def failing(group, visits=False, bad_pixels=()):
        if group.paths[0] == str(apogee[1]):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if group.paths[0] == str(apogee[2]):
            raise ZeroDivisionError("nobody thought of it")
        return read_group(group)

    monkeypatch.setattr(surveys.get("apogee"), "read_group", failing)
    made = pack("apogee", apogee, tmp_path, stars_per_part=8, processes=1)
    reasons = {Path(path).name: reason for path, reason, _ in made.refused}
    assert set(reasons) == {apogee[1].name, apogee[2].name}
    assert "Input/output error" in reasons[apogee[1].name]
    assert "unexpected ZeroDivisionError" in reasons[apogee[2].name]
    monkeypatch.undo()
    again = pack("apogee", apogee, tmp_path, stars_per_part=8, processes=1)
    assert again.kept == len(made.paths) - 1  # the first part is read again
    assert not again.refused
    whole = pack("apogee", apogee, tmp_path / "b", stars_per_part=8, processes=1)
    assert [p.read_bytes() for p in again.paths] == [
        p.read_bytes() for p in whole.paths
    ]


def test_repeated_ids_are_said(apogee, tmp_path):
    other = tmp_path / "in" / "apo25m" / "elsewhere" / apogee[0].name
    other.parent.mkdir(parents=True)
    shutil.copy(apogee[0], other)
    made = pack("apogee", [*apogee, other], tmp_path / "out", processes=1)
    (refused,) = made.refused
    assert refused.path == "ids" and "1 ids stand for more than one" in refused.reason


def test_files_of_two_kinds_and_folders_of_two_surveys(apogee, galah, tmp_path):
    aspcap = tmp_path / apogee[0].name.replace("apStar", "aspcapStar")
    aspcap.write_bytes(b"")
    with pytest.raises(InputError, match="read them apart"):
        pack("apogee", [*apogee, aspcap], tmp_path / "out", stars_per_part=1)
    pack("apogee", apogee, tmp_path / "out", processes=1)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=r"SURVEY is apogee.*another folder"):
        pack("galah", galah, tmp_path / "out", processes=1)
    assert contents(tmp_path / "out") == before


def test_corrupt_files_are_listed_and_the_others_packed(apogee, tmp_path):
    files = [tmp_path / "in" / path.name for path in apogee]
    files[0].parent.mkdir()
    for source, path in zip(apogee, files, strict=True):
        shutil.copy(source, path)
    files[3].write_bytes(files[3].read_bytes()[:40_000])
    files[5].write_text("no FITS file")
    other = tmp_path / "in" / "notes-\u00e9.fits"
    other.write_text("text")
    out = tmp_path / "out"
    made = pack("apogee", [*files, other], out, stars_per_part=8, processes=2)
    assert made.n_spectra == len(files) - 2
    refused = {Path(path).name: reason for path, reason, _ in made.refused}
    assert set(refused) == {files[3].name, files[5].name, "notes-\\xe9.fits"}
    assert all(refused.values())
    listed = (out / "refused.ecsv").read_text()
    assert all(name in listed for name in refused if name.isascii())
    kept = pack("apogee", [*files, other], out, stars_per_part=8)
    assert sorted(kept.refused) == sorted(made.refused) and kept.kept == len(kept.paths)


def test_a_part_of_refused_files_only(galah, tmp_path):
    lone = [path for path in galah if path.stem.endswith("1")][:3]
    made = pack("galah", lone, tmp_path, stars_per_part=2, processes=1)
    assert (made.n_spectra, len(made.refused)) == (0, 3)
    with PackedSurvey.open(tmp_path) as packed:
        assert packed.n_stars == 0 and len(packed.stars) == 0


def test_full_disk_is_said_and_finished_parts_are_kept(apogee, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    out = tmp_path / "out"
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from fastcannon.pack import pack; from fastcannon.errors import WriteError\n"
        "files = sorted(Path(sys.argv[1]).rglob('*.fits'))\n"
        "pack('apogee', files[:8], sys.argv[2], stars_per_part=4, processes=1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: pack('apogee', files, sys.argv[2], stars_per_part=4, processes=1)\n"
        "except WriteError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(apogee[0].parents[2]), str(out)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert os.strerror(errno.EFBIG) in said and "finished parts are kept" in said
    assert "part-0000" in said
    assert not list(out.glob(".part-*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    for path in out.glob("part-*"):
        with SpectraFile(path) as part:
            part.verify()


def test_two_runs_in_one_folder(apogee, tmp_path):
    seen = []

    def second(_):
        with pytest.raises(InputError, match="another run works in this folder"):
            pack("apogee", apogee[:1], tmp_path)
        seen.append(True)

    pack("apogee", apogee[:2], tmp_path, processes=1, progress=second)
    assert seen


def test_what_cannot_be_packed(apogee, tmp_path):
    with pytest.raises(InputError, match="nothing to pack for apogee"):
        pack("apogee", [], tmp_path)
    with pytest.raises(InputError, match="known are apogee"):
        pack("lamost", apogee, tmp_path)
    with pytest.raises(InputError, match="option visit; its options are visits"):
        pack("apogee", apogee, tmp_path, {"visit": True})
    with pytest.raises(InputError, match="PERSISTANCE"):
        pack("apogee", apogee, tmp_path, {"bad_pixels": ["PERSISTANCE"]})
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"cannot be made .*give another folder"):
        pack("apogee", apogee, tmp_path / "file" / "out")


def test_parts_must_belong_together(apogee, tmp_path):
    made = pack("apogee", apogee, tmp_path / "a", stars_per_part=8, processes=1)
    made.paths[1].unlink()
    with pytest.raises(FileFormatError, match="run fastcannon pack again"):
        PackedSurvey.open(tmp_path / "a")
    with pytest.raises(InputError, match="holds no packed spectra"):
        PackedSurvey.open(tmp_path)
    with pytest.raises(InputError, match="no spectra files"):
        PackedSurvey([])


def test_own_files_on_other_grids_are_refused(tmp_path):
    for name, start in (("a", 5000), ("b", 5001), ("c", 5000)):
        wavelength = start + np.arange(4.0)
        image = np.ones((2, 4))
        stars = {"id": [f"{name}1", f"{name}2"]}
        write_spectra(
            tmp_path / f"{name}.fits", image, image, wavelength, stars, name == "c"
        )
    with PackedSurvey([tmp_path / "a.fits", tmp_path / "a.fits"]) as both:
        assert both.n_stars == 4 and both.medium == "unknown"
        assert list(both.ids(1, 3)) == ["a2", "a1"]
        with pytest.raises(InputError, match="rows 4 to 4 were asked for"):
            both.read([4])
    for other in ("b", "c"):
        with pytest.raises(InputError, match="Resample and normalise"):
            PackedSurvey([tmp_path / "a.fits", tmp_path / f"{other}.fits"])


def test_pairs_of_repeats():
    star_id = ["b", "a", "b", "", "a", "c", "b", ""]
    snr = [50.0, 10.0, 80.0, 99.0, np.nan, 30.0, 60.0, 5.0]
    pairs = best_and_others(star_id, snr)
    assert pairs.tolist() == [[1, 4], [2, 6], [2, 0]]
    visit = [1, 0, 0, 0, 0, 0, 2, 0]
    assert independent_pairs(star_id, visit).tolist() == [[1, 4], [0, 6]]
    assert independent_pairs(list("xxx"), [1, 3, 2]).tolist() == [
        [0, 1],
        [0, 2],
        [1, 2],
    ]
    for function in (best_and_others, independent_pairs):
        assert function([], []).shape == function(["x"], [1]).shape == (0, 2)


def test_pairs_of_combined_spectra_and_visits(apogee):
    table = surveys.read("apogee", apogee, visits=True).table
    best, other = best_and_others(table["star_id"], table["snr"]).T
    assert (table["visit"] > 0).sum() <= len(other)
    assert (table["star_id"][best] == table["star_id"][other]).all()
    assert (table["snr"][best] >= table["snr"][other]).all()
    first, second = independent_pairs(table["star_id"], table["visit"]).T
    assert len(first) > 5 and (first < second).all()
    assert (table["star_id"][first] == table["star_id"][second]).all()
    one_field = table["field"][first] == table["field"][second]
    assert (table["visit"][first][one_field] > 0).all()
