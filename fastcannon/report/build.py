"""The report of a run: figures, tables and one page (``fastcannon report RUN``)."""

import logging
from pathlib import Path

from ..clusters import catalogue_columns as cluster_columns
from ..errors import FastcannonError, InputError, WriteError
from ..fitsfiles import TABLE_VERSION
from ..fitsheaders import check_layout, verify_checksums
from ..kinds import LABELS
from ..model import CannonModel
from ..runfolder import REPORT, SUMMARY
from .book import FIGURES, TABLES, Book
from .cluster_section import cluster_section
from .forms import beside_form
from .galaxy_section import galaxy_section
from .glance import glance
from .interactive import interactive
from .label_sections import (
    differences_section,
    errors_section,
    quality_section,
    stars_section,
    validation_section,
)
from .page import Section, write_page
from .paper import beside, beside_counts
from .rundata import PIPELINES, RunData
from .spectrum_sections import spectrum_sections
from .starview import catalogue_columns
from .translator_section import translator_section

PAGE = "index.html"
_log = logging.getLogger(__name__)
_MORE = ("ra", "dec", "r_est", "flag_id", "dr2_source_id", "dr3_source_id")


def write_report(
    folder, members=None, literature=None, isochrones=(), synthetic=None, say=print
):
    """Write figures, tables and the page of a run into its folder ``report``.

    Parameters
    ----------
    folder : str or Path
        Output folder of a run; it need not be finished.
    members, literature : str or Path, optional
        Members of clusters, and what is known of the clusters; see `cluster_files`.
    isochrones : sequence of str or Path
        See `isochrones.read_isochrones`.
    synthetic : str or Path, optional
        Pair of synthetic spectra; see `twins.read_synthetic`.
    say : callable
        Called with lines of text for the user.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        The folder is not that of a run, or a file that is named is not there.
    WriteError
        A file cannot be written.
    """
    given = (members, literature, synthetic, *isochrones)
    for path in (path for path in given if path is not None):
        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file; check the path")
    run = RunData.read(folder)
    _check_labels(run)
    home = Path(folder) / REPORT
    for name in (FIGURES, TABLES):
        _make(home / name)
    with Book(run, home, _catalogues(run), _models(run)) as book:
        sections, stars, windows = _sections(
            book, synthetic, (members, literature, isochrones)
        )
    book.drawn(sections)
    for note in run.missing:
        say(f"missing: {note}")
    views = interactive(book.catalogues, run.names, run.surveys, stars, windows)
    page = write_page(home / PAGE, _glance(run), sections, views)
    book.sweep()
    say(f"{page}: report")
    return page


def _sections(book, synthetic, clusters):
    """Return all sections, and the stars and windows of the view of spectra."""
    note = book.run.missing
    found, stars, windows = _guarded(
        note, ([], [], {}), spectrum_sections, book, synthetic
    )
    cluster, table = _guarded(note, (None, None), cluster_section, book, *clusters)
    sections = [
        _guarded(note, None, stars_section, book),
        _guarded(note, None, differences_section, book),
        _guarded(note, None, validation_section, book),
        _guarded(note, None, errors_section, book),
        *found,
        cluster,
        _guarded(note, None, galaxy_section, book),
        _guarded(note, None, quality_section, book),
        *_guarded(note, [], translator_section, book),
        *_guarded(note, [], _beside_section, book, table),
    ]
    return [one for one in sections if one is not None], stars, windows


def _glance(run):
    """Return the numbers at a glance; of a summary that makes no sense, the others."""
    try:
        return glance(run)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        run.missing.append(f"{SUMMARY} holds no counts of this run ({error!r})")
        run.summary = {}
        return glance(run)


def _guarded(missing, instead, make, *arguments):
    """Return what a function makes; where the run's files hold nonsense, say so.

    Files that a user has given are refused with an error, as everywhere.
    """
    try:
        return make(*arguments)
    except (FastcannonError, OSError):
        raise
    except Exception as error:
        _log.debug("section left out", exc_info=True)
        name = make.__name__.strip("_").replace("_", " ")
        missing.append(f"the {name} is left out: {type(error).__name__}, {error}")
        return instead


def _make(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be made ({error.strerror}); mend the folder of the run"
        ) from error


def _check_labels(run):
    """Leave out labels with a damaged part: met later, it would end the report."""
    for case, paths in list(run.labels.items()):
        for path in paths:
            try:
                check_layout(path, LABELS, TABLE_VERSION)
                verify_checksums(path)
            except (FastcannonError, OSError) as error:
                run.note(path, error)
                run.labels.pop(case, None)


def _catalogues(run):
    """Return the columns of the catalogues that have the same rows."""
    names = dict.fromkeys(
        [
            *catalogue_columns(run.names),
            *cluster_columns(run.names, ()),
            *_MORE,
        ]
    )
    found = {}
    for scale in run.partitions:
        try:
            found[scale] = run.catalogue(scale, list(names))
        except InputError as error:
            run.missing.append(str(error))
    return found


def _models(run):
    """Return the models that can be read."""
    found = {}
    for case, path in run.models.items():
        try:
            found[case] = CannonModel.read(path)
        except (FastcannonError, OSError) as error:
            run.note(path, error)
    return found


def _beside_section(book, clusters):
    """Return the section of the paper's numbers, for runs on its surveys."""
    run = book.run
    names = {form: survey for survey, form in run.formats.items()}
    if set(names) != {"apogee", "galah"}:
        return []
    scales = {
        case: dict(zip(model.label_names, model.scales, strict=True))
        for case, model in book.models.items()
    }
    after = {s: run.differences[s] for s in run.surveys if s in run.differences}
    found = beside(
        names, run.differences.get(PIPELINES), after, run.factors, scales, clusters
    )
    counts = beside_counts(names, run.summary)
    tables = [
        book.table(beside_form(table, name))
        for table, name in ((found, "paper"), (counts, "paper-counts"))
        if len(table)
    ]
    text = (
        "The numbers of Nandakumar et al. 2022 beside those of this run. Numbers of "
        "simulated or other stars need not agree."
    )
    return [Section("The paper beside this run", "paper", text, tables=tables)]
