"""The whole report: of a finished run, of one that is not, and of what is given to it.

The report of the small run is drawn once; elsewhere figures are built but not saved.
"""

import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image
from small_run import CASES, NAMES, contents, copied, go, write
from test_run_settings import own_survey, with_own

from fastcannon.catalogue_files import check_manifest
from fastcannon.cli import main
from fastcannon.clusters import catalogue_columns, clean_members
from fastcannon.figures.style import new_figure
from fastcannon.model import CannonModel
from fastcannon.report import book as books
from fastcannon.report.book import Book
from fastcannon.report.build import write_report
from fastcannon.report.cluster_section import cluster_section
from fastcannon.report.galaxy_section import galaxy_section
from fastcannon.report.label_sections import errors_section
from fastcannon.report.page import Section
from fastcannon.report.rundata import RunData
from fastcannon.report.spectrum_sections import spectrum_sections

FEW = r"\d+ training stars for \d+ terms of the model; \d+ or more are needed"
TRAINED = ("run.json", "training.fits", "packed", "report")
PARTITION = "catalogues/galah-scaled/apogee-00000.parquet"
FORMS = {".txt", ".tex", ".ecsv", ".csv"}


def files_of(surveys):
    """Return the command's arguments for what the simulation knows of clusters."""
    return [
        *("--members", str(surveys / "clusters" / "members.ecsv")),
        *("--literature", str(surveys / "clusters" / "clusters.ecsv")),
        *("--isochrones", str(surveys / "isochrones" / "parsec.dat")),
    ]


@pytest.fixture(scope="module")
def reported(done, tmp_path_factory):
    """A copy of the finished run with its report, made by the command."""
    home = tmp_path_factory.mktemp("reported")
    path = copied(done, home)
    before, said, errors = contents(home / "run"), StringIO(), StringIO()
    with redirect_stdout(said), redirect_stderr(errors):
        code = main(["report", str(home / "run"), *files_of(done.surveys)])
    return SimpleNamespace(
        config=path,
        folder=home / "run",
        home=home / "run" / "report",
        before=before,
        code=code,
        said=said.getvalue() + errors.getvalue(),
        page=(home / "run" / "report" / "index.html").read_text(encoding="utf-8"),
    )


@pytest.fixture
def drawn(monkeypatch):
    """Figures are built here, with every warning an error; files are one pixel.

    Gives their names, in the order of the report, and what makes files only.
    """
    names = []

    def figure(self, name, caption, alt, function, *arguments):
        function(*arguments).clear()
        return bare(self, name, caption, alt)

    def bare(self, name, caption, alt, *_):
        names.append(name)
        stem = self.folder / books.FIGURES / name
        for end in ("png", "pdf"):
            Image.new("L", (1, 1)).save(f"{stem}.{end}", "PNG")
        return books.Figure(Path(f"{stem}.png"), Path(f"{stem}.pdf"), caption, alt)

    monkeypatch.setattr(Book, "__enter__", lambda self: self)
    monkeypatch.setattr(Book, "__exit__", lambda self, *error: None)
    monkeypatch.setattr(Book, "figure", figure)
    monkeypatch.setattr(Book, "drawn", lambda self, sections: None)
    monkeypatch.setattr(Book, "sweep", lambda self: None)
    return SimpleNamespace(names=names, bare=bare)


@pytest.fixture
def listed(drawn, monkeypatch):
    """Figures are not even built: quick. Gives the list of their names."""
    monkeypatch.setattr(Book, "figure", drawn.bare)
    return drawn.names


def page_of(folder, **given):
    """Write the report of a folder; return its page's text and what was said."""
    said = []
    page = write_report(folder, say=said.append, **given)
    return page.read_text(encoding="utf-8"), "\n".join(said)


def spoil(path):
    """Change bytes in the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - one for one in content[middle:][:64])
    path.write_bytes(content)


# ---- of a finished run


def test_the_command_reports_a_finished_run(reported):
    assert reported.code == 0
    assert reported.said == f"{reported.home / 'index.html'}: report\n"
    anchors = re.findall(r'<section id="([\w-]+)"', reported.page)
    assert anchors == [
        *("glance", "view-stars", "view-spectra", "kiel", "differences"),
        *("validation", "errors", "residuals", "coefficients", "twins"),
        *("clusters", "galaxy", "quality", "paper"),
    ]
    assert str(reported.folder.parent) not in reported.page
    assert len(reported.page) < 15e6  # measured: 8.1 MB


def test_every_figure_is_there_as_png_and_pdf(reported):
    files = sorted((reported.home / "figures").iterdir())
    stems = {path.stem for path in files}
    assert {path.name for path in files} == {
        f"{stem}.{end}" for stem in stems for end in ("png", "pdf")
    }
    scales = ("apogee", "galah")
    expected = {"kiel-pipelines", "differences", "galaxy", "galaxy-fe_h"}
    expected |= {f"validation-{case}" for case in CASES}
    for kind in ("kiel", "precision", "quality", "residuals", "twins"):
        expected |= {f"{kind}-{name}" for name in scales}
    expected |= {f"coefficients-apogee-{arm}" for arm in (1, 2, 3)}
    expected |= {f"coefficients-galah-{arm}" for arm in (1, 2, 3, 4)}
    expected |= {f"clusters-{what}-1" for what in ("kiel", "fe_h-teff", "fe_h-logg")}
    assert stems == expected
    for path in files:
        if path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF")
            continue
        with Image.open(path) as image:
            shades = np.asarray(image.convert("L"))
            assert image.size[0] > 500 and (shades < 128).mean() > 0.002


def test_every_table_is_there_in_four_forms(reported):
    stems = {path.stem for path in (reported.home / "tables").iterdir()}
    assert stems == {
        *("table1", "table3", "table4", "table5", "isochrones"),
        *("paper", "paper-counts"),
    }
    for stem in stems:
        found = [reported.home / "tables" / f"{stem}{form}" for form in FORMS]
        assert all(path.stat().st_size for path in found)
        ecsv, csv = (
            Table.read(reported.home / "tables" / f"{stem}.{form}")
            for form in ("ecsv", "csv")
        )
        assert ecsv.colnames == csv.colnames and len(ecsv) == len(csv) > 0


def test_pictures_and_links_of_the_page_are_there(reported):
    pictures = re.findall(r"<img[^>]*>", reported.page)
    assert len(pictures) == len(list((reported.home / "figures").glob("*.png")))
    for picture in pictures:
        assert 'src="data:image/png;base64,' in picture
        assert re.search(r'alt="[^"]{20,}"', picture)
    links = [unquote(link) for link in re.findall(r'href="(\w[^":#]*)"', reported.page)]
    files = {(reported.home / link).resolve() for link in links}
    there = (*reported.home.glob("figures/*.pdf"), *reported.home.glob("tables/*"))
    assert files == {path.resolve() for path in there}


def test_a_finished_run_misses_nothing(reported):
    assert 'class="missing' not in reported.page
    body = reported.page[reported.page.index("<body") :]
    assert "not there" not in body and "cannot be read" not in body


def test_the_run_is_as_it_was(reported):
    found = contents(reported.folder)
    own = {n: d for n, d in found.items() if not n.startswith("report/")}
    assert own == reported.before


def test_a_run_goes_on_beside_its_report(reported):
    before = contents(reported.home)
    go(reported.config)
    assert contents(reported.home) == before
    assert check_manifest(reported.folder / "manifest.sha256") == []
    assert "report/" not in (reported.folder / "manifest.sha256").read_text()


# ---- of a run that is not finished, or damaged


def test_a_folder_that_is_no_run(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["report", str(folder)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert f"{folder} is not the output folder of a run" in said.err
        assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_into(done, tmp_path, capsys):
    copied(done, tmp_path, "packed", "labels", "catalogues")
    (tmp_path / "run" / "report").touch()
    assert main(["report", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "cannot be made" in said and said.count("\n") == 1


def test_a_run_with_nothing_but_a_training_set(done, tmp_path, listed):
    folder = tmp_path / "run"
    copied(done, tmp_path)
    for path in folder.iterdir():
        if path.name not in TRAINED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page, said = page_of(folder, members=done.surveys / "clusters" / "members.ecsv")
    assert listed == ["differences"]
    for text in (
        "There are no labels apogee-on-galah yet.",
        "There is no cross-validation yet.",
        "precision.ecsv is not there yet.",
        "apogee: no cross-validation of the training set yet.",
        "galah: no model on its own scale yet.",
        "There is no catalogue yet.",
        "models/galah-on-apogee.fits: not there yet; fastcannon run CONFIG makes it",
    ):
        assert text in page, text
    assert "missing: manifest.sha256: not there, so the run is not finished" in said
    assert said.endswith("index.html: report")


def test_a_run_that_has_just_begun(done, tmp_path, listed):
    (tmp_path / "run").mkdir()
    shutil.copy(done.folder / "run.json", tmp_path / "run")
    page, _ = page_of(tmp_path / "run")
    assert listed == []
    assert "There is no training set yet, so no star to compare." in page
    assert "apogee: its packed spectra are not in this folder." in page


def test_a_run_without_catalogues(done, tmp_path, listed):
    copied(done, tmp_path, "catalogues")
    page, said = page_of(tmp_path / "run")
    assert "differences" in listed and "twins-galah" in listed
    assert not [name for name in listed if re.match("kiel|galaxy|quality", name)]
    assert "There is no catalogue yet." in page and 'id="view-stars"' not in page
    assert said.count("missing: catalogues/apogee-scaled: no stars of") == 2


def test_a_run_without_the_labels_of_a_case_and_without_repeats(done, tmp_path, listed):
    copied(done, tmp_path, "apogee-on-galah", "precision.ecsv", "factors.ecsv")
    page, said = page_of(tmp_path / "run")
    assert {"differences", "quality-apogee", "quality-galah"} <= set(listed)
    # Once for the differences, once for chi2 and the like.
    assert page.count("There are no labels apogee-on-galah yet.") == 2
    assert "missing: labels/apogee-on-galah: none yet" in said
    assert not [name for name in listed if name.startswith("precision")]
    assert "precision.ecsv is not there yet." in page
    assert not (tmp_path / "run" / "report" / "tables" / "table4.txt").exists()


def test_damaged_files_are_named_and_the_rest_is_shown(done, tmp_path, drawn):
    copied(done, tmp_path)
    folder = tmp_path / "run"
    labels = folder / "labels" / "apogee-on-galah" / "part-00001.fits"
    labels.write_bytes(labels.read_bytes()[:25920])  # cut short
    damaged = ("models/galah-on-galah.fits", PARTITION)
    for name in damaged:
        spoil(folder / name)
    page, said = page_of(folder, members=_some_members(tmp_path))
    for name in (*damaged, "labels/apogee-on-galah/part-00001.fits"):
        assert f"missing: {name} cannot be read (" in said
        assert f"{name} cannot be read (" in page
    assert str(folder) not in page
    assert "do not have the same stars in the same rows" in page  # clusters
    assert "galah: no model on its own scale yet" in page
    shown = set(drawn.names)
    assert {"kiel-galah", "galaxy", "differences", "quality-galah"} <= shown
    assert {"residuals-galah", "twins-apogee", "coefficients-apogee-1"} <= shown
    assert not {"coefficients-galah-1", "twins-galah"} & shown
    assert 'id="view-stars"' in page


def _some_members(folder):
    """Write a table of members that are nowhere; return its path."""
    path = folder / "members.ecsv"
    Table({"cluster": ["A"], "probability": [1.0], "survey_id": ["x"]}).write(path)
    return path


# ---- with other packages, surveys and labels


LACKING = """
import sys
from fastcannon.cli import main
for package in ("matplotlib", "bokeh", "jinja2"):
    sys.modules[package] = None
    print(main(["report", sys.argv[1]]))
    del sys.modules[package]
"""


def test_a_package_that_is_not_installed(done, tmp_path):
    shutil.copy(done.folder / "run.json", tmp_path)
    command = [sys.executable, "-c", LACKING, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["2", "2", "2"]
    lines = found.stderr.splitlines()
    for line, package in zip(lines, ("matplotlib", "bokeh", "jinja2"), strict=True):
        assert package in line and line.endswith("install fastcannon[report]")
    assert not (tmp_path / "report").exists()


@pytest.mark.filterwarnings(f"ignore:{FEW}:UserWarning")
def test_an_own_survey_with_few_labels(done, training_stars, tmp_path, drawn):
    """A survey of one's own, neither log g nor distances nor repeats nor clusters."""
    section = own_survey(done, training_stars, tmp_path)
    copied(done, tmp_path, "*.*")
    start = with_own(done, section).index("[gaia]")
    end = with_own(done, section).index("[labels]")
    text = with_own(done, section)
    text = text[:start] + text[end:]
    path = write(tmp_path, text, ('"teff", "logg", "fe_h"', '"teff", "fe_h"'))
    go(path)
    page, said = page_of(tmp_path / "run")
    assert said == f"{tmp_path / 'run' / 'report' / 'index.html'}: report"
    assert "APOGEE and OWN on common scales" in page
    expected = {"differences", "residuals-own", "twins-own", "coefficients-own-1"}
    expected |= {"validation-own-on-apogee", "quality-own", "precision-own"}
    assert expected <= set(drawn.names)
    assert not [name for name in drawn.names if re.match("kiel|galaxy", name)]
    for text in (
        "There are no Kiel diagrams: they need teff and logg.",
        "The catalogues have no distances of clean stars: name a table with r_est",
        "No table of members was given",
    ):
        assert text in page, text
    assert 'id="paper"' not in page  # it has APOGEE and GALAH
    assert 'optgroup label="Clean stars' in page and "own: " in page


# ---- of what is given to a report, and is not of use


@pytest.fixture(scope="module")
def catalogues(done):
    run = RunData.read(done.folder)
    names = [*catalogue_columns(NAMES, ("dr3_source_id",)), "dr2_source_id", "r_est"]
    return {s: run.catalogue(s, [*names, "ra", "dec"]) for s in run.surveys}


@pytest.fixture
def book(done, catalogues, tmp_path, drawn):
    """A book of the finished run, whose figures are built and not saved."""
    for name in (books.FIGURES, books.TABLES):
        (tmp_path / name).mkdir()
    return Book(RunData.read(done.folder), tmp_path, catalogues)


@pytest.fixture
def members(catalogues, tmp_path):
    """Two clusters of stars that are clean on both scales, as files."""
    good = np.logical_and.reduce([clean_members(c) for c in catalogues.values()])
    ids = catalogues["galah"]["survey_id"][good].astype(str)
    half = len(ids) // 2
    cluster = np.repeat(["North", "South"], [half, len(ids) - half])
    table = Table({"cluster": cluster, "survey_id": ids})
    table["probability"] = 0.9
    table.write(tmp_path / "members.ecsv")
    known = Table({"cluster": ["North", "South"], "kind": ["open", "globular"]})
    known["age"], known["fe_h"] = [4.0, 11.0], [0.0, -0.5]
    known.write(tmp_path / "known.ecsv")
    return tmp_path / "members.ecsv"


def isochrone_file(folder, head="MH logAge logTe logg"):
    """Write an isochrone of 4 Gyr and solar metallicity; return its path."""
    path = folder / "isochrones.dat"
    path.write_text(f"# {head}\n0.0 9.602 3.65 2.5\n0.0 9.602 3.77 4.4\n")
    return path


def test_clusters_have_figures_tables_and_isochrones(book, members, drawn, tmp_path):
    section, table = cluster_section(
        book, members, tmp_path / "known.ecsv", [isochrone_file(tmp_path)]
    )
    assert set(table["cluster"]) == {"North", "South"} and table["n"].min() >= 0
    assert drawn.names == [
        *("clusters-kiel-1", "clusters-fe_h-teff-1", "clusters-fe_h-logg-1")
    ]
    titles = " ".join(one.title for one in section.tables)
    for words in ("open clusters", "globular clusters", "Trends", "Distances"):
        assert words in titles
    # The globular one: no isochrone of its age.
    assert [note[:6] for note in section.notes] == ["South:"]


def test_no_members_no_isochrones(book, members, drawn, tmp_path):
    section, table = cluster_section(book)
    assert table is None and drawn.names == []
    assert "fastcannon report RUN --members TABLE" in section.notes[0]
    section, table = cluster_section(book, members)
    assert len(table) and len(drawn.names) == 3
    assert section.notes == [
        "No isochrones were given: fastcannon report RUN --isochrones FILE."
    ]
    assert "unknown kind" in section.tables[0].title
    bare = Book(book.run, book.folder)
    assert cluster_section(bare, members)[0].notes == ["There is no catalogue yet."]


def test_a_figure_that_cannot_be_drawn_is_a_note(tmp_path):
    (tmp_path / books.FIGURES).mkdir()
    (tmp_path / books.TABLES).mkdir()
    stale = tmp_path / books.FIGURES / "of-an-earlier-report.png"
    stale.write_bytes(b"")
    section = Section("Some", "some", figures=[], notes=[])
    with Book(None, tmp_path) as book:
        for name, function, argument in (("a", new_figure, 3.0), ("b", int, "x")):
            section.figures.append(book.figure(name, "", "", function, argument))
    book.drawn([section])
    book.sweep()
    assert [one.png.name for one in section.figures] == ["a.png"]
    assert section.notes[0].startswith("b could not be drawn (ValueError: invalid lit")
    there = {path.name for path in (tmp_path / books.FIGURES).iterdir()}
    assert there == {"a.png", "a.pdf"}


def spoiled_members(what, path):
    """Write members that cannot be used."""
    good = {"cluster": ["A"], "probability": [0.9], "survey_id": ["nobody"]}
    good.pop(what, None)
    if what == "percent":
        good["probability"] = [90.0]
    table = Table(good)
    if what == "no table":
        path.write_text("nothing at all")
    elif what != "no file":
        table.write(path, overwrite=True)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("no common star", "no member of a cluster is in the catalogue"),
        ("cluster", "no column cluster; it is needed"),
        ("probability", "no column probability; it is needed"),
        ("survey_id", "no column of identifiers"),
        ("percent", "expected 0 to 1"),
        ("no table", "no table that can be read"),
        ("no file", "No such file"),
    ],
)
def test_members_of_no_use_are_a_note(book, tmp_path, drawn, what, why):
    path = tmp_path / "given.ecsv"
    spoiled_members(what, path)
    section, table = cluster_section(book, path)
    assert table is None and drawn.names == []
    assert len(section.notes) == 1
    assert "given.ecsv" in section.notes[0] and why in section.notes[0]


@pytest.mark.parametrize(
    ("head", "known", "why"),
    [
        ("MH logAge Umag Vmag", True, "no line of column names with logTe"),
        ("MH logAge logTe logg", False, "North: "),
        (None, True, "No such file"),
    ],
)
def test_isochrones_of_no_use_are_a_note(
    book, members, drawn, tmp_path, head, known, why
):
    path = tmp_path / "none.dat" if head is None else isochrone_file(tmp_path, head)
    literature = tmp_path / "known.ecsv" if known else None
    section, table = cluster_section(book, members, literature, [path])
    assert len(drawn.names) == 3 and len(table)
    assert any(why in note for note in section.notes)
    assert "Distances" not in " ".join(one.title for one in section.tables)


def test_literature_of_no_use_is_a_note(book, members, tmp_path):
    path = tmp_path / "bad.ecsv"
    Table({"what": [1]}).write(path)
    section, _ = cluster_section(book, members, path)
    assert "bad.ecsv: no column cluster" in section.notes[0]


def test_no_distances_are_a_note(book, drawn):
    for columns in book.catalogues.values():
        assert np.isfinite(columns["r_est"]).any()
    book.catalogues = {
        scale: columns | {"r_est": np.full(len(columns["ra"]), np.nan, np.float32)}
        for scale, columns in book.catalogues.items()
    }
    section = galaxy_section(book)
    assert drawn.names == [] and "no distances of clean stars" in section.notes[0]


def test_no_repeats_are_a_note(book, drawn):
    book.run.precision = book.run.precision[:0]
    book.run.factors = None
    section = errors_section(book)
    assert drawn.names == [] and section.tables == []
    assert "There are no repeated spectra" in section.notes[0]


def test_synthetic_spectra_lie_over_twins_or_are_a_note(book, listed, tmp_path):
    book.models = {c: CannonModel.read(path) for c, path in book.run.models.items()}
    book.catalogues = {}
    path, noted = tmp_path / "synthetic.ecsv", {}
    wavelength = np.linspace(4700.0, 17000.0, 2000)
    table = Table({"wavelength": wavelength})
    table["flux_a"], table["flux_b"] = 1.0, 0.9
    for what in ("good", "bad", "none"):
        if what == "none":
            path.unlink()
        else:
            table[:: 1 if what == "good" else -1].write(path, overwrite=True)
        (*_, alike), stars, windows = spectrum_sections(book, path)
        noted[what] = " ".join(alike.notes)
        caption = alike.figures[0].caption
        assert ("with the synthetic difference" in caption) == (what == "good")
        assert len(alike.figures) == len(windows) == 2 and stars == []
    assert noted["good"] == ""
    assert "wavelengths must increase" in noted["bad"] and "No such" in noted["none"]
