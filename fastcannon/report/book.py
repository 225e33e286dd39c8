"""What the sections of a report are made of, and where its files go."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import FileFormatError, WriteError
from ..figures import style
from ..interrupts import deaf_to_interrupts, interrupts_later, serve_parent
from ..model import CannonModel
from ..parallel import thread_count
from .page import Figure, PageTable
from .rundata import RunData
from .tables import page_rows, write_tables

FIGURES, TABLES = "figures", "tables"


@dataclass
class Book:
    """A run, the columns of its catalogues, and the folder of its report.

    Figures are drawn by processes while the next data are read: fonts and layout take
    a second or two each. A context manager; at its end all figures are written.

    Attributes
    ----------
    run : RunData
    folder : Path
        With the folders FIGURES and TABLES.
    catalogues : dict of scale to dict of column to (N,) array
        The same rows of every scale; ``survey`` is 0 or 1.
    models : dict of case to CannonModel
        Those that can be read.
    """

    run: RunData
    folder: Path
    catalogues: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    models: dict[str, CannonModel] = field(default_factory=dict)
    _drawn: dict[Path, Future] = field(default_factory=dict)
    _made: set[Path] = field(default_factory=set)

    def __enter__(self):
        self._workers = ProcessPoolExecutor(
            thread_count(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=serve_parent,
        )
        return self

    def __exit__(self, error, *_):
        try:
            if error is None:
                wait(self._drawn.values())
        finally:
            with interrupts_later():
                self._workers.shutdown(cancel_futures=True)

    def figure(self, name, caption, alt, function, *arguments):
        """Have a figure drawn and written as PNG and PDF; return it with its words.

        Parameters
        ----------
        name : str
            Of its files, without ending.
        caption, alt : str
            What to see; the picture in words.
        function : callable
            Of the package `figures`: returns a matplotlib Figure.
        *arguments
            Of the function.

        Returns
        -------
        page.Figure
        """
        stem = self.folder / FIGURES / _file_name(name)
        png, pdf = Path(f"{stem}.png"), Path(f"{stem}.pdf")
        with deaf_to_interrupts():
            job = self._workers.submit(_draw, stem, function, arguments)
        self._drawn[png] = job
        self._made |= {png, pdf}
        return Figure(png, pdf, caption, alt)

    def drawn(self, sections):
        """Leave out the figures that could not be drawn, each with a note.

        To be called when all are done.

        Raises
        ------
        WriteError, OSError
            A figure could not be written.
        """
        for section in sections:
            figures, section.figures = section.figures, []
            for one in figures:
                error = self._drawn[one.png].exception()
                if isinstance(error, (WriteError, OSError)):
                    raise error
                if error is None:
                    section.figures.append(one)
                else:
                    why = f"{type(error).__name__}: {error}"
                    name = Path(one.png).stem
                    section.notes.append(f"{name} could not be drawn ({why}).")

    def sweep(self):
        """Remove figures and tables of an earlier report that this one has not."""
        for name in (FIGURES, TABLES):
            for path in (self.folder / name).iterdir():
                if path not in self._made and path.is_file():
                    path.unlink()

    def table(self, printed):
        """Write a `tables.PrintedTable` in all its forms; return it for the page."""
        _file_name(printed.name)
        files = write_tables(self.folder / TABLES, [printed])[printed.name]
        self._made |= set(map(Path, files))
        head, rows, values = page_rows(printed)
        caption = " ".join(printed.notes)
        return PageTable(printed.caption, head, rows, values, caption, files)

    def of_survey(self, scale, number, names):
        """Return columns of one survey's rows of a catalogue."""
        columns = self.catalogues[scale]
        own = columns["survey"] == number
        return {name: columns[name][own] for name in names}


def _file_name(name):
    """Return a name that stays in its folder, made of names in files of anybody."""
    if Path(name).name != name:
        raise FileFormatError(
            f"{name!r} would be the name of a figure or table, outside the report's "
            "folder: a name of a survey, label or case in the run is damaged"
        )
    return name


def _draw(stem, function, arguments):
    style.save(function(*arguments), stem)
