"""The configuration of a run: one TOML file, read and checked as a whole.

`example.toml` explains every key; ``fastcannon init`` writes it.
"""

import glob
import os
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from inspect import signature
from pathlib import Path

from .atomic import atomic_path
from .checks import SCATTERS
from .cuts import check_condition, suggest
from .errors import InputError
from .labels import LABELS
from .sections import Section

GALAH = "galah"  # the survey with a catalogue of repeats
OWN = "spectra"  # the project's spectra files
FLUXES = ("normalised", "counts")
MATCHES = ("star_id", "gaia", "position")
# Labels and other numbers that a catalogue has under our names (with errors e_...).
MEASURED = (*LABELS, "mg_fe", "rv")
COLUMNS = (
    *("id", "star_id", "ra", "dec", "pmra", "pmdec", "epoch", "gaia_source_id", "snr"),
    *(prefix + name for name in MEASURED for prefix in ("", "e_")),
)
ALPHA = ("Si", "Mg", "Ti", "Ca")  # the elements whose windows come with the package
# Columns of a Gaia table, and what they are called unless the configuration says so.
GAIA_COLUMNS = {
    "dr2_source_id": "dr2_source_id",
    "dr3_source_id": "source_id",
    "parallax": "parallax",
    "e_parallax": "parallax_error",
    "r_est": "r_est",
    "r_lo": "r_lo",
    "r_hi": "r_hi",
}
PART_STEP = 256  # parts are whole blocks of normalisation


@dataclass(frozen=True)
class Continuum:
    """How spectra are divided by their continuum; None = the default of the survey."""

    order: int | None
    passes: int | None
    pixels: Path | None


@dataclass(frozen=True)
class Survey:
    """One survey: where its files are and how they are read and cut.

    Attributes
    ----------
    name : str
        As in [surveys.NAME].
    format : str
        A module of `surveys`, or "spectra": the project's spectra files.
    folder : Path
        Folder of the configuration, which the globs start from.
    spectra : tuple of str
        Globs.
    catalogue, catalogue_repeats : Path or None
    columns : dict
        Our name of a column: its name in the survey's catalogue.
    cuts : list of dict
        See `cuts`: those given or the survey's own, then the extra sets.
    options : dict
        What was given for reading spectra: visits, bad_pixels, flux.
    error_floor : float or None
        Least error of a pixel as a fraction of the flux; None = the default.
    continuum : Continuum
    where : str
        File and key, for errors.
    """

    name: str
    format: str
    folder: Path
    spectra: tuple[str, ...]
    catalogue: Path | None
    catalogue_repeats: Path | None
    columns: dict
    cuts: list[dict]
    options: dict
    error_floor: float | None
    continuum: Continuum
    where: str

    def files(self):
        """Return the files that the globs match as texts, sorted, each once.

        Raises
        ------
        InputError
            For every glob that matches nothing.
        """
        found, empty = set(), []
        for pattern in self.spectra:
            matches = glob.glob(
                os.path.expanduser(pattern), root_dir=self.folder, recursive=True
            )
            paths = (os.path.normpath(self.folder / match) for match in matches)
            paths = [path for path in paths if not os.path.isdir(path)]
            found.update(paths)
            if not paths:
                empty.append(f"{pattern!r} matches no file in {self.folder}")
        if empty:
            raise InputError(
                f"{self.where}.spectra: {'; '.join(empty)}: check the folder and the "
                "pattern (** stands for any number of folders)"
            )
        return sorted(found)


@dataclass(frozen=True)
class Pack:
    """How spectra are packed; processes None = one for each core."""

    stars_per_part: int
    processes: int | None


@dataclass(frozen=True)
class Match:
    """How the stars of two surveys are found to be the same; radius in arcsec."""

    by: str
    radius: float
    surveys: tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """Labels, and the elements outside whose windows a label is not used.

    ``empirical_vmicro`` names the surveys whose vmicro is replaced by GALAH's relation.
    """

    names: tuple[str, ...]
    censors: dict
    windows: Path | None
    empirical_vmicro: tuple[str, ...]


@dataclass(frozen=True)
class Gaia:
    """Table of Gaia ids, parallaxes and distances, or None; our columns: its own."""

    table: Path | None
    columns: dict


@dataclass(frozen=True)
class Model:
    """Settings of training, cross-validation and inference."""

    degree: int
    folds: int
    seed: int
    starts: int
    scatter: str


@dataclass(frozen=True)
class Translate:
    """Networks of each translator, 0: no translators; and their seed."""

    networks: int
    seed: int


@dataclass(frozen=True)
class Config:
    """A configuration, checked; its sections are attributes."""

    path: Path
    output: Path
    surveys: dict[str, Survey]
    pack: Pack
    match: Match
    gaia: Gaia
    labels: Labels
    model: Model
    translate: Translate

    def pair(self):
        """Return the two surveys that are matched, in the order of their difference.

        Raises
        ------
        InputError
            There are not two, or one of them has no catalogue.
        """
        if len(self.match.surveys) != 2:
            raise InputError(
                f"{self.path}: [match] needs two surveys with a catalogue; "
                f"the file has {', '.join(self.surveys)}"
            )
        pair = tuple(self.surveys[name] for name in self.match.surveys)
        for survey in pair:
            if survey.catalogue is None:
                raise InputError(
                    f"{survey.where}.catalogue is missing; matching needs the "
                    "catalogue of the survey"
                )
        return pair


def example():
    """Return the text of a configuration with every key explained."""
    return files(__package__).joinpath("example.toml").read_text(encoding="ascii")


def write_example(path):
    """Write the example to a new file.

    Raises
    ------
    InputError
        The file exists; it is left as it is.
    """
    if os.path.lexists(path):
        raise InputError(
            f"{path} exists and is not replaced; give another name or remove it"
        )
    with atomic_path(path) as temporary:
        temporary.write_text(example(), encoding="ascii")


def read_config(path):
    """Read a configuration.

    Parameters
    ----------
    path : str or Path
        TOML file; relative paths in it are relative to its folder.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        The file does not exist, is no TOML, or some of it is not as `example` says:
        one error with every problem, each with its key, what came and what is allowed.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; fastcannon init writes an example"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the TOML file in it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text file; a TOML file is expected") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no valid TOML: {error}") from None
    root = Section(content, "", path.absolute().parent, [])
    config = _read(root, path)
    if root.problems:
        count = len(root.problems)
        numbered = [f"  ({n}) {text}" for n, text in enumerate(root.problems, 1)]
        head = f"{path}: {count} problem{'s' * (count > 1)} in the configuration:"
        raise InputError("\n".join([head, *numbered]))
    return config


def _read(root, path):
    """Return the configuration; problems are noted in the section."""
    output = root.section("output")
    folder = output.path("folder", required=True)
    output.close()
    holder = root.section("surveys")
    sections = {name: holder.section(name) for name in holder.content}
    surveys = {
        name: _read_survey(section, name, path)
        for name, section in sections.items()
        if isinstance(holder.content[name], dict)
    }
    if root.content.get("surveys", {}) == {}:
        root.note("surveys", "is missing; expected one or more sections [surveys.NAME]")
    labels = root.section("labels")
    config = Config(
        path=path,
        output=folder,
        surveys=surveys,
        pack=_read_pack(root.section("pack")),
        match=_read_match(root.section("match"), tuple(surveys)),
        gaia=_read_gaia(root.section("gaia")),
        labels=_read_labels(labels, tuple(surveys)),
        model=_read_model(root.section("model")),
        translate=_read_translate(root.section("translate")),
    )
    _check_columns(config, holder, labels)
    _check_windows(config, labels)
    root.close()
    return config


def is_survey_name(text):
    """Return whether a text can name a survey, its columns and its files."""
    return re.fullmatch(r"[\w-]+", text, re.ASCII) is not None


def _read_survey(section, name, path):
    if not is_survey_name(name):
        section.problems.append(
            f"{section.key} is no name for a survey; use letters, digits, _ and -"
        )
    from .surveys import names  # here: see _reader

    form = section.choice("format", (*names(), OWN), None)
    survey = Survey(
        name=name,
        format=form,
        folder=section.folder,
        spectra=section.texts("spectra", (), least=0),
        catalogue=section.path("catalogue"),
        catalogue_repeats=section.path("catalogue_repeats") if form == GALAH else None,
        columns=section.table("columns", {}),
        cuts=_read_cuts(section, form),
        options=_read_options(section, form),
        error_floor=section.number("error_floor", None, least=0, below=1),
        continuum=_read_continuum(section.section("continuum")),
        where=f"{path}: surveys.{name}",
    )
    if not section.content.get("spectra"):
        section.note("spectra", "is missing or empty; expected a list of globs")
    if form is not None:  # else which keys are allowed is not known
        section.close()
    return survey


def _read_options(section, form):
    """Return the options of the survey's reader that were given."""
    from .surveys.bitmasks import APOGEE_PIXMASK  # here: see _reader

    # A key that the reader does not have is not asked for, and so is an error.
    options = {}
    for name in _reader_options(form):
        if name == "visits":
            options[name] = section.value(name, bool, "true or false", None)
        elif name == "flux":
            options[name] = section.choice(name, FLUXES, FLUXES[0])
        elif name == "bad_pixels":
            options[name] = section.texts(name, None, least=0)
            _check_bits(section, name, APOGEE_PIXMASK, options[name] or ())
        else:
            options[name] = section.value(name, object, "a value", None)
    return {key: value for key, value in options.items() if value is not None}


def _reader_options(form):
    """Return the names of the options that the reader of a format has."""
    reader = _reader(form)
    return list(signature(reader.read_group).parameters)[1:] if reader else []


def _reader(form):
    """Return the module that reads a format, None where there is none."""
    # Here, because surveys load astropy: `write_example` need not wait for it.
    from .surveys import get

    return None if form in (None, OWN) else get(form)


def _check_bits(section, name, mask, bits):
    """Note names of bits that a mask does not have."""
    try:
        mask.value(bits)
    except InputError as error:
        section.note(name, str(error))


def _read_cuts(section, form):
    """Return the cuts to apply, in order, with the names of bits checked."""
    own, sets, flags = {}, {}, {}
    if reader := _reader(form):
        own, sets, flags = reader.CUTS, reader.EXTRA_CUTS, reader.FLAGS
    cuts = section.table("cuts", None)
    for column, condition in (cuts or {}).items():
        try:
            kind, names = check_condition(condition)
        except InputError as error:
            section.note(f"cuts.{column}", str(error))
        else:
            if kind == "without" and column in flags:
                _check_bits(section, f"cuts.{column}", flags[column], names)
            elif kind == "without" and reader:
                allowed = f"columns of flags are {', '.join(flags)}"
                section.note_unknown("cuts", [column], flags, allowed)
    extra = section.texts("extra_cuts", (), least=0)
    allowed = f"the sets are {', '.join(sets) or '(none)'}"
    section.note_unknown("extra_cuts", extra, sets, allowed)
    return [own if cuts is None else cuts, *(sets[n] for n in extra if n in sets)]


def _read_continuum(section):
    found = Continuum(
        order=section.whole("order", None, least=1),
        passes=section.whole("passes", None, least=1),
        pixels=section.path("pixels"),
    )
    section.close()
    return found


def _read_pack(section):
    found = Pack(
        stars_per_part=section.whole("stars_per_part", 4096, PART_STEP, PART_STEP),
        processes=section.whole("processes", None, least=1),
    )
    section.close()
    return found


def _read_match(section, names):
    default = names if len(names) == 2 else ()
    pair = section.texts("surveys", default)
    if len(pair) not in (0, 2):
        section.note("surveys", f"names {len(pair)} surveys; expected two")
    allowed = f"the surveys of the file are {', '.join(names) or '(none)'}"
    section.note_unknown("surveys", pair, names, allowed)
    found = Match(
        by=section.choice("by", MATCHES, "star_id"),
        radius=float(section.number("radius", 1.0, above=0)),
        surveys=pair,
    )
    section.close()
    return found


def _read_gaia(section):
    table = section.path("table")
    columns = section.table("columns", {})
    if columns and table is None:
        section.note("table", "is missing; expected a table of Gaia with the columns")
    allowed = f"ours are {', '.join(GAIA_COLUMNS)}"
    section.note_unknown("columns", columns, GAIA_COLUMNS, allowed)
    for ours, theirs in columns.items():
        if not (isinstance(theirs, str) and theirs):
            section.note(f"columns.{ours}", f"is {theirs!r}; expected a column's name")
    section.close()
    return Gaia(table, GAIA_COLUMNS | columns)


def _read_labels(section, surveys):
    names = section.texts("names", LABELS)
    windows = section.path("windows")
    default = {"alpha_fe": list(ALPHA)} if "alpha_fe" in names else {}
    given = section.table("censors", None)
    censors = section.section("censors")
    found = {}
    for name in default if given is None else given:
        elements = censors.texts(name, ()) if given is not None else default[name]
        if name not in names:
            censors.note(
                name, f"is no label{suggest(name, names)}; these are {', '.join(names)}"
            )
        unknown = [e for e in elements if windows is None and e not in ALPHA]
        if unknown:
            censors.note(
                name,
                f"names {', '.join(unknown)}; windows come with the package for "
                f"{', '.join(ALPHA)}: give a table of others as labels.windows",
            )
        found[name] = tuple(elements)
    empirical = section.texts("empirical_vmicro", (), least=0)
    if empirical and not {"teff", "logg", "vmicro"} <= set(names):
        section.note("empirical_vmicro", "needs the labels teff, logg and vmicro")
    allowed = f"the surveys of the file are {', '.join(surveys) or '(none)'}"
    section.note_unknown("empirical_vmicro", empirical, surveys, allowed)
    section.close()
    return Labels(names, found, windows, tuple(empirical))


def _read_model(section):
    found = Model(
        degree=section.whole("degree", 2, least=1),
        folds=section.whole("folds", 12, least=2),
        seed=section.whole("seed", 0, least=0),
        starts=section.whole("starts", 8, least=1),
        scatter=section.choice("scatter", SCATTERS, "likelihood"),
    )
    section.close()
    return found


def _read_translate(section):
    found = Translate(
        networks=section.whole("networks", 0, least=0),
        seed=section.whole("seed", 0, least=0),
    )
    section.close()
    return found


def _check_columns(config, holder, labels):
    """Note columns that nobody asks for, and labels that no catalogue can have."""
    names = config.labels.names
    allowed = dict.fromkeys((*COLUMNS, *names, *(f"e_{name}" for name in names)))
    for survey in config.surveys.values():
        for ours, theirs in survey.columns.items():
            key = f"{survey.name}.columns.{ours}"
            if ours not in allowed:
                hint = suggest(ours, allowed)
                holder.note(key, f"is not known{hint}; ours are {', '.join(allowed)}")
            if not (isinstance(theirs, str) and theirs):
                holder.note(
                    key, f"is {theirs!r}; expected a column of the survey's catalogue"
                )
    if any(survey.format == OWN for survey in config.surveys.values()):
        return  # our own files may have any label
    columns = [name for s in config.surveys.values() for name in s.columns]
    known = (
        f"known are {', '.join(MEASURED)}: others need a column in surveys.NAME.columns"
    )
    labels.note_unknown("names", names, (*MEASURED, *columns), known)


def _check_windows(config, labels):
    """Note censored labels of a survey that no line windows come with."""
    own = [s.name for s in config.surveys.values() if s.format == OWN]
    if own and config.labels.censors and config.labels.windows is None:
        labels.note(
            "windows",
            f"is missing; {', '.join(config.labels.censors)} is used in line windows "
            f"only, and none come with the package for {', '.join(own)}: give a table, "
            "or an empty section [labels.censors]",
        )
