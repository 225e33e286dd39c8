"""What the sections of a report are made of, and where its files go."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..figures import style
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
    _drawn: list[Future] = field(default_factory=list)

    def __enter__(self):
        self._workers = ProcessPoolExecutor(
            thread_count(), mp_context=multiprocessing.get_context("spawn")
        )
        return self

    def __exit__(self, error, *_):
        self._workers.shutdown(cancel_futures=error is not None)
        if error is None:
            for one in self._drawn:
                one.result()

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
        stem = self.folder / FIGURES / name
        self._drawn.append(self._workers.submit(_draw, stem, function, arguments))
        return Figure(Path(f"{stem}.png"), Path(f"{stem}.pdf"), caption, alt)

    def table(self, printed):
        """Write a `tables.PrintedTable` in all its forms; return it for the page."""
        files = write_tables(self.folder / TABLES, [printed])[printed.name]
        head, rows, values = page_rows(printed)
        caption = " ".join(printed.notes)
        return PageTable(printed.caption, head, rows, values, caption, files)

    def of_survey(self, scale, number, names):
        """Return columns of one survey's rows of a catalogue."""
        columns = self.catalogues[scale]
        own = columns["survey"] == number
        return {name: columns[name][own] for name in names}


def _draw(stem, function, arguments):
    style.save(function(*arguments), stem)
