"""The configuration file: what it says, and every way in which it can be wrong."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastcannon import InputError, config, model, surveys
from fastcannon.config import example, read_config, write_example
from fastcannon.cuts import check_condition
from fastcannon.surveys.bitmasks import ASPCAPFLAG

MINIMAL = """
[output]
folder = "run"
[surveys.apogee]
format = "apogee"
spectra = ["apogee/**/*.fits"]
[surveys.galah]
format = "galah"
spectra = ["galah/**/*.fits"]
"""


def read_apogee(group, visits=False, bad_pixels=()):
    raise NotImplementedError


def read_galah(group, flux="normalised"):
    raise NotImplementedError


STAND_INS = {
    "apogee": SimpleNamespace(
        read_group=read_apogee,
        CUTS={"snr": "> 80"},
        EXTRA_CUTS={},
        FLAGS={"ASPCAPFLAG": ASPCAPFLAG},
    ),
    "galah": SimpleNamespace(
        read_group=read_galah,
        CUTS={"flag_sp": "== 0"},
        EXTRA_CUTS={"galah-advice": {"snr_c3_iraf": "> 30"}},
        FLAGS={},
    ),
}


@pytest.fixture
def stand_ins(monkeypatch):
    """Surveys whose cuts and options the tests know."""
    monkeypatch.setattr(surveys, "names", lambda: sorted(STAND_INS))
    monkeypatch.setattr(surveys, "get", STAND_INS.__getitem__)


def read(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return read_config(path)


def problems(tmp_path, text):
    """Return the problems found in a configuration, in order."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    head, *lines = str(caught.value).splitlines()
    assert head.startswith(f"{tmp_path / 'run.toml'}: {len(lines)} problem")
    return [re.sub(r"^  \(\d+\) ", "", line) for line in lines]


def problem(tmp_path, text):
    """Return the only problem found."""
    (only,) = problems(tmp_path, text)
    return only


# ---- what a file says


def test_a_minimal_file_has_every_default(tmp_path, stand_ins):
    found = read(tmp_path, MINIMAL)
    assert found.output == tmp_path / "run"
    assert list(found.surveys) == ["apogee", "galah"]
    assert (found.pack.stars_per_part, found.pack.processes) == (4096, None)
    assert (found.match.by, found.match.radius) == ("star_id", 1.0)
    assert found.match.surveys == ("apogee", "galah")
    names = ("teff", "logg", "fe_h", "alpha_fe", "vmicro", "vbroad")
    assert found.labels.names == names
    assert found.labels.censors == {"alpha_fe": ("Si", "Mg", "Ti", "Ca")}
    assert found.labels.windows is None and found.labels.empirical_vmicro == ()
    assert found.gaia.table is None
    assert found.gaia.columns["dr3_source_id"] == "source_id"
    assert vars(found.model) == {
        "degree": 2,
        "folds": 12,
        "seed": 0,
        "starts": 8,
        "scatter": "likelihood",
    }
    apogee = found.surveys["apogee"]
    assert apogee.cuts == [{"snr": "> 80"}] and apogee.options == {}
    assert apogee.catalogue is None and apogee.columns == {}
    assert found.surveys["galah"].options == {"flux": "normalised"}


def test_paths_are_relative_to_the_file_wherever_it_is_read_from(
    tmp_path, stand_ins, monkeypatch
):
    (tmp_path / "here").mkdir()
    text = MINIMAL.replace('"galah"\nsp', '"galah"\ncatalogue = "/data/g.fits"\nsp')
    (tmp_path / "here" / "run.toml").write_text(text + '[labels]\nwindows = "w.ecsv"')
    monkeypatch.chdir(tmp_path)
    found = read_config("here/run.toml")
    assert found.output == tmp_path / "here" / "run"
    assert found.labels.windows == tmp_path / "here" / "w.ecsv"
    assert found.surveys["galah"].catalogue == Path("/data/g.fits")


def test_cuts_replace_the_defaults_and_sets_follow(tmp_path, stand_ins):
    text = MINIMAL + (
        'extra_cuts = ["galah-advice"]\n[surveys.galah.cuts]\nchi2_sp = "< 4"'
    )
    found = read(tmp_path, text).surveys["galah"]
    assert found.cuts == [{"chi2_sp": "< 4"}, {"snr_c3_iraf": "> 30"}]


def test_an_empty_table_of_cuts_means_none(tmp_path, stand_ins):
    found = read(tmp_path, MINIMAL + "[surveys.galah.cuts]")
    assert found.surveys["galah"].cuts == [{}]


def test_empty_censors_mean_none_and_a_window_table_brings_elements(
    tmp_path, stand_ins
):
    assert read(tmp_path, MINIMAL + "[labels.censors]").labels.censors == {}
    text = MINIMAL + '[labels]\nwindows="w.ecsv"\ncensors = {fe_h = ["Fe"]}'
    assert read(tmp_path, text).labels.censors == {"fe_h": ("Fe",)}
    text = MINIMAL + '[labels]\nnames = ["teff"]'
    assert read(tmp_path, text).labels.censors == {}


def test_a_column_makes_a_label_known(tmp_path, stand_ins):
    text = MINIMAL + 'columns = {al_fe = "Al_fe"}\n[labels]\nnames = ["al_fe"]'
    assert read(tmp_path, text).surveys["galah"].columns == {"al_fe": "Al_fe"}


def test_own_spectra_files_may_have_any_label(tmp_path, stand_ins):
    text = """
[output]
folder = "run"
[surveys.lamost]
format = "spectra"
spectra = ["lamost.fits"]
[labels]
names = ["c_fe"]
"""
    found = read(tmp_path, text)
    assert found.match.surveys == () and found.surveys["lamost"].cuts == [{}]
    with pytest.raises(InputError, match=r"two surveys .* has lamost"):
        found.pair()


def test_the_pair_needs_catalogues(tmp_path, stand_ins):
    with pytest.raises(InputError, match=r"run.toml: surveys.apogee.catalogue is"):
        read(tmp_path, MINIMAL).pair()
    text = MINIMAL.replace("spectra =", 'catalogue = "c.fits"\nspectra =')
    pair = read(tmp_path, text + '[match]\nsurveys = ["galah", "apogee"]').pair()
    assert [survey.name for survey in pair] == ["galah", "apogee"]


def test_options_of_an_added_survey_go_to_its_reader(tmp_path, monkeypatch):
    def read_group(group, visits=False, fibre_correction=True):
        raise NotImplementedError

    added = SimpleNamespace(read_group=read_group, CUTS={}, EXTRA_CUTS={}, FLAGS={})
    monkeypatch.setattr(surveys, "names", lambda: ["weave"])
    monkeypatch.setattr(surveys, "get", {"weave": added}.__getitem__)
    text = """
[output]
folder = "run"
[surveys.w]
format = "weave"
spectra = ["*.fits"]
fibre_correction = false
"""
    options = read(tmp_path, text).surveys["w"].options
    assert options == {"fibre_correction": False}
    assert "fibre: is not known" in problem(tmp_path, text.replace("_correction", ""))


def test_a_gaia_table_may_have_columns_of_other_names(tmp_path, stand_ins):
    text = MINIMAL + '[gaia]\ntable = "g.fits"\n[gaia.columns]\nr_est = "rpgeo"'
    found = read(tmp_path, text).gaia
    assert found.table == tmp_path / "g.fits"
    assert found.columns["r_est"] == "rpgeo"
    assert found.columns["parallax"] == "parallax"
    assert set(found.columns) == set(config.GAIA_COLUMNS)
    assert config.GAIA_COLUMNS["r_est"] == "r_est"  # not changed by it


def test_surveys_whose_vmicro_is_replaced(tmp_path, stand_ins):
    text = MINIMAL + '[labels]\nempirical_vmicro = ["galah", "apogee"]'
    assert read(tmp_path, text).labels.empirical_vmicro == ("galah", "apogee")


# ---- files


def test_globs_give_every_file_once_sorted(tmp_path, stand_ins):
    folder = tmp_path / "with [brackets]"
    for name in ("galah/b/2.fits", "galah/a/3.fits", "galah/1.fits"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "galah" / "folder.fits").mkdir()
    text = MINIMAL.replace('"galah/**/*.fits"', '"galah/**/*.fits", "galah/*.fits"')
    found = read(folder, text).surveys["galah"].files()
    names = [Path(path).relative_to(folder).as_posix() for path in found]
    assert names == ["galah/1.fits", "galah/a/3.fits", "galah/b/2.fits"]


def test_empty_globs_are_an_error_when_listed(tmp_path, stand_ins):
    (tmp_path / "a.fits").touch()
    text = MINIMAL.replace('"galah/**/*.fits"', '"a.fits", "no/*.fits", "none"')
    survey = read(tmp_path, text).surveys["galah"]
    with pytest.raises(InputError) as caught:
        survey.files()
    said = str(caught.value)
    assert (
        f"run.toml: surveys.galah.spectra: 'no/*.fits' matches no file in {tmp_path}"
        in said
    )
    assert "'none'" in said and "'a.fits'" not in said


def test_the_home_folder_of_nobody_is_a_mistake(tmp_path, stand_ins):
    text = MINIMAL.replace('"run"', '"~nobody-of-this-name/run"')
    with pytest.raises(InputError, match=r"output\.folder: is .*no such home folder"):
        read(tmp_path, text)


# ---- the example


def test_the_example_validates_with_the_surveys_as_they_are(tmp_path):
    path = tmp_path / "fastcannon.toml"
    write_example(path)
    found = read_config(path)
    assert [survey.format for survey in found.pair()] == ["apogee", "galah"]
    for survey in found.surveys.values():
        for cuts in survey.cuts:
            assert all(check_condition(condition) for condition in cuts.values())


def test_the_example_validates_with_its_optional_keys(tmp_path):
    text = re.sub(r"^#(?=\w+ = |\[)", "", example(), flags=re.MULTILINE)
    found = read(tmp_path, text)
    assert found.pack.processes == 2
    assert found.surveys["apogee"].options["bad_pixels"][0] == "BADPIX"
    assert found.surveys["apogee"].cuts[0]["snr"] == "> 80"


def test_the_example_shows_every_key(tmp_path, monkeypatch):
    asked = {}

    class Spy(config.Section):
        def close(self):
            super().close()
            asked[self.key] = set(self._asked)

    monkeypatch.setattr(config, "Section", Spy)
    text = re.sub(r"^#(?=\w+ = |\[)", "", example(), flags=re.MULTILINE)
    read(tmp_path, text)
    content = tomllib.loads(text)
    assert len(asked) == 12
    for key, names in asked.items():
        section = content
        for part in filter(None, key.split(".")):
            section = section[part]
        assert set(section) == names, key


def test_the_example_shows_the_defaults(tmp_path):
    shown = read(tmp_path, example())
    minimal = read(tmp_path, MINIMAL)
    for name in ("output", "pack", "match", "gaia", "labels", "model"):
        assert getattr(shown, name) == getattr(minimal, name)
    for name in ("apogee", "galah"):
        assert shown.surveys[name].cuts == minimal.surveys[name].cuts
        assert shown.surveys[name].continuum == minimal.surveys[name].continuum


def test_the_surveys_and_kinds_of_scatter_are_those_there_are():
    assert surveys.names() == ["apogee", "galah"]
    assert config.SCATTERS == model.SCATTERS


def test_the_example_replaces_nothing(tmp_path):
    path = tmp_path / "fastcannon.toml"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"fastcannon.toml exists and is not replaced"):
        write_example(path)
    assert path.read_text() == "mine"


# ---- what can be wrong


def test_all_problems_are_listed_at_once(tmp_path, stand_ins):
    found = problems(
        tmp_path,
        """
[surveys.apogee]
format = "apogeee"
spectra = []
[surveys.galah]
format = "galah"
spectra = ["x"]
visits = true
[pack]
stars_per_part = 100
[match]
radius = -1
[model]
scatter = "mediam"
degre = 2
[outputs]
""",
    )
    assert [line.split(":")[0] for line in found] == [
        "output.folder",
        "surveys.apogee.format",
        "surveys.apogee.spectra",
        "surveys.galah.visits",
        "pack.stars_per_part",
        "match.radius",
        "model.scatter",
        "model.degre",
        "outputs",
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[pack]\nprocesses = 0", "pack.processes: is 0; expected a whole number >= 1"),
        ("[pack]\nprocesses = true", "pack.processes: is true; expected a whole num"),
        ("[pack]\nprocesses = 1.5", "pack.processes: is 1.5; expected a whole number"),
        (
            "[pack]\nstars_per_part = 1000",
            "pack.stars_per_part: is 1000; expected a multiple of 256, >= 256",
        ),
        ("[match]\nradius = -2.0", "match.radius: is -2.0; expected a number > 0"),
        ("[match]\nradius = inf", "match.radius: is inf; expected a number > 0"),
        ("[match]\nradius = nan", "match.radius: is nan; expected a number > 0"),
        ('[match]\nradius = "1"', 'match.radius: is "1"; expected a number > 0'),
        (
            '[match]\nby = "Gaia"',
            "match.by: is \"Gaia\" (did you mean 'gaia'?); "
            'expected one of "star_id", "gaia", "position"',
        ),
        ('[match]\nsurveys = ["apogee"]', "match.surveys: names 1 surveys; expected"),
        (
            '[match]\nsurveys = ["apogee", "galh"]',
            "match.surveys: names 'galh' (did you mean 'galah'?); "
            "the surveys of the file are apogee, galah",
        ),
        ('[labels]\nnames = "teff"', 'labels.names: is "teff"; expected a list of'),
        (
            f'[model]\nscatter = "{"x" * 99}"',
            f'model.scatter: is "{"x" * 56}...; expected one of',
        ),
        ('[labels]\nnames = ["teff", "teff"]', "labels.names: is ['teff', 'teff']; "),
        (
            '[labels]\nnames = ["tefff"]',
            "labels.names: names 'tefff' (did you mean 'teff'?); known are teff, logg,",
        ),
        (
            '[labels]\ncensors = {alpha = ["Si"]}',
            "labels.censors.alpha: is no label (did you mean 'alpha_fe'?)",
        ),
        (
            '[labels]\ncensors = {alpha_fe = ["Si", "C"]}',
            "labels.censors.alpha_fe: names C; windows come with the package for Si",
        ),
        ('[labels]\ncensors = {fe_h = "Si"}', 'labels.censors.fe_h: is "Si"; expected'),
        (
            '[labels]\nempirical_vmicro = ["galh"]',
            "labels.empirical_vmicro: names 'galh' (did you mean 'galah'?); the",
        ),
        (
            '[labels]\nnames = ["teff", "logg"]\nempirical_vmicro = ["galah"]',
            "labels.empirical_vmicro: needs the labels teff, logg and vmicro",
        ),
        ("[gaia]\ntable = 3", "gaia.table: is 3; expected a path"),
        ('[gaia.columns]\nr_est = "x"', "gaia.table: is missing; expected a table of"),
        (
            '[gaia]\ntable = "g"\ncolumns = {r_ets = "x"}',
            "gaia.columns: names 'r_ets' (did you mean 'r_est'?); ours are dr2",
        ),
        (
            '[gaia]\ntable = "g"\ncolumns = {r_est = 3}',
            "gaia.columns.r_est: is 3; expected a column's name",
        ),
        ('[gaia]\ntabel = "g"', "gaia.tabel: is not known (did you mean 'table'?)"),
        ("[model]\nfolds = 1", "model.folds: is 1; expected a whole number >= 2"),
        ("[model]\nseed = -1", "model.seed: is -1; expected a whole number >= 0"),
        (
            "[model]\nFolds = 3",
            "model.Folds: is not known (did you mean 'folds'?); "
            "allowed here are degree, folds, seed, starts, scatter",
        ),
        ("[modell]", "modell: is not known (did you mean 'model'?); allowed here are"),
        ("[[model]]", "model: is [{}]; expected a section [model]"),
    ],
)
def test_each_problem_names_its_key(tmp_path, stand_ins, text, expected):
    assert problem(tmp_path, MINIMAL + text).startswith(expected)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("spectra = []", "spectra: is missing or empty; expected a list of globs"),
        ('spectra = "a*.fits"', 'spectra: is "a*.fits"; expected a list of different'),
        ('spectra = [""]', "spectra: is ['']; expected a list of different texts"),
        ("catalogue = 3", "catalogue: is 3; expected a path"),
        ('catalogue = " "', 'catalogue: is " "; expected a path'),
        ('visits = "yes"', 'visits: is "yes"; expected true or false'),
        ("visits = 1", "visits: is 1; expected true or false"),
        (
            'flux = "normalised"',
            "flux: is not known; allowed here are format, spectra, catalogue, columns, "
            "cuts, extra_cuts, visits, bad_pixels, error_floor, continuum",
        ),
        ('catalogue_repeats = "x"', "catalogue_repeats: is not known (did you mean"),
        ('bad_pixels = ["BADPX"]', "bad_pixels: APOGEE_PIXMASK has no flag 'BADPX'"),
        ("error_floor = -0.1", "error_floor: is -0.1; expected a number >= 0"),
        ("continuum.order = 0", "continuum.order: is 0; expected a whole number >= 1"),
        ("continuum.odrer = 2", "continuum.odrer: is not known (did you mean 'order'?"),
        (
            'cuts = {snr = "over 80"}',
            "cuts.snr: 'over 80' is no condition; expected a comparison with a number",
        ),
        ("cuts = {snr = 80}", "cuts.snr: 80 is no condition; expected"),
        (
            'cuts.ASPCAPFLAG.without = ["TEF_BAD"]',
            "cuts.ASPCAPFLAG: ASPCAPFLAG has no flag 'TEF_BAD'",
        ),
        ('cuts.STAR.without = "X"', "cuts.STAR: {'without': 'X'} is no condition"),
        ('cuts = "snr > 80"', 'cuts: is "snr > 80"; expected a section'),
        ('extra_cuts = ["advice"]', "extra_cuts: names 'advice'; the sets are (none)"),
        (
            'columns = {Teff = "TEFF"}',
            "columns.Teff: is not known (did you mean 'teff'?); ours are id, star_id,",
        ),
        ("columns = {teff = 3}", "columns.teff: is 3; expected a column of the survey"),
    ],
)
def test_problems_of_a_survey(tmp_path, stand_ins, text, expected):
    lines = ["[surveys.apogee]", 'format = "apogee"', text]
    if not text.startswith("spectra"):
        lines.append('spectra = ["x"]')
    found = problem(tmp_path, '[output]\nfolder = "run"\n' + "\n".join(lines))
    assert found.startswith(f"surveys.apogee.{expected}")


def test_a_format_that_is_unknown_or_missing(tmp_path, stand_ins):
    start = '[output]\nfolder = "run"\n[surveys.a]\nspectra = ["x"]\n'
    assert problem(tmp_path, start) == (
        'surveys.a.format: is missing; expected one of "apogee", "galah", "spectra"'
    )
    assert "(did you mean 'galah'?)" in problem(tmp_path, start + 'format = "Galah3"')


def test_surveys_that_are_missing_or_misnamed(tmp_path, stand_ins):
    head = '[output]\nfolder = "run"\n'
    assert problem(tmp_path, head).startswith("surveys: is missing; expected one or")
    assert problem(tmp_path, "surveys = 3\n" + head).startswith("surveys: is 3")
    text = '[surveys."a b"]\nformat = "apogee"\nspectra = ["x"]'
    assert problem(tmp_path, head + text).startswith("surveys.a b is no name")
    assert problem(tmp_path, head + "[surveys]\napogee = 3") == (
        "surveys.apogee: is 3; expected a section [surveys.apogee]"
    )


def test_files_that_are_no_configuration(tmp_path):
    path = tmp_path / "x.toml"
    with pytest.raises(InputError, match=r"x.toml does not exist; fastcannon init"):
        read_config(path)
    path.write_text("[output\n")
    with pytest.raises(InputError, match=r"x.toml is no valid TOML: .*line 1"):
        read_config(path)
    path.write_bytes(b"SIMPLE  = \xff\xfe")
    with pytest.raises(InputError, match=r"x.toml is no text file"):
        read_config(path)


def test_own_spectra_need_windows_for_censored_labels(tmp_path):
    text = """
    [output]
    folder = "run"
    [surveys.own]
    format = "spectra"
    spectra = ["own.fits"]
    """
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"labels.windows: is missing; alpha_fe"):
        read_config(path)
    path.write_text(text + "[labels.censors]\n")
    assert read_config(path).labels.censors == {}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("[labels]\nnames = []", "labels.names: is []"),
        ("[labels.censors]\nalpha_fe = []", "labels.censors.alpha_fe: is []"),
        (
            "[surveys.galah]\nerror_floor = 5",
            "error_floor: is 5; expected a number >= 0",
        ),
    ],
)
def test_values_that_would_fail_late(tmp_path, lines, problem):
    text = example().replace("\n[labels.censors]\n", "\n[ignored]\n")
    section, key = lines.split("\n")
    if section == "[labels]":
        text = text.replace('names = ["teff"', key + '\n#names = ["teff"')
    elif section == "[labels.censors]":
        text = example().replace("alpha_fe = [", key + "\n#alpha_fe = [")
    else:
        text = example().replace('flux = "normalised"', key + '\nflux = "normalised"')
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(problem)):
        read_config(path)


def test_bits_of_a_column_that_has_none_are_refused(tmp_path):
    text = example().replace(
        "[surveys.apogee.continuum]",
        '[surveys.apogee.cuts]\nSTARFLAGS = { without = ["LOW_SNR"] }\n'
        "[surveys.apogee.continuum]",
    )
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"names 'STARFLAGS' \(did you mean 'STARFLAG'"
    ):
        read_config(path)


def test_files_that_are_no_plain_text(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_config(tmp_path)
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf" + example().encode())
    assert set(read_config(path).surveys) == {"apogee", "galah"}
