"""A packed survey: the spectra files of one packing, read as one."""

from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from .errors import FileFormatError, InputError
from .spectra import SpectraFile

GRID_TOLERANCE = 1e-6  # relative; 0.3 km/s, a small part of any pixel


class PackedSurvey:
    """Spectra files on one grid, read as one; images are read when asked for.

    A context manager; to be read from one thread at a time. At most one of the files
    is open, as there may be thousands.

    Parameters
    ----------
    paths : sequence of str or Path
        Spectra files, in order: the parts of one packing, or any others.

    Attributes
    ----------
    parts : list of SpectraFile
    medium : str
        "air" or "vacuum"; "unknown" where the files do not say.
    normalised : bool
        Whether the flux is divided by its continuum.
    n_stars, n_pixels : int
        Number of spectra (visits count as their own) and of pixels.
    starts : (n_parts + 1,) int array
        Number of the first spectrum of each part, then n_stars.

    Raises
    ------
    FileFormatError
        A part is missing, damaged or of another packing.
    InputError
        There are no files, or their grids or normalisation differ.
    """

    def __init__(self, paths):
        if not paths:
            raise InputError("no spectra files were given; run fastcannon pack first")
        self.parts = [SpectraFile(path) for path in paths]
        first = self.parts[0]
        self.medium = first.facts.get("MEDIUM", "unknown")
        self.normalised, self.n_pixels = first.normalised, first.n_pixels
        try:
            for number, part in enumerate(self.parts):
                _check_packing(part, number, first, len(self.parts))
                _check_grid(part, first)
        finally:
            self.close()
        self.starts = np.cumsum([0, *(part.n_stars for part in self.parts)])
        self.n_stars = int(self.starts[-1])

    @classmethod
    def open(cls, folder):
        """Open what `pack.pack` wrote into a folder."""
        paths = sorted(Path(folder).glob("part-*.fits"))
        if not paths:
            raise InputError(
                f"{folder} holds no packed spectra (part-*.fits); run fastcannon pack"
            )
        return cls(paths)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close the file that is open."""
        for part in self.parts:
            part.close()

    @property
    def wavelength(self):
        """Wavelengths of the pixels, (P,) float64 array, Angstrom."""
        return self.parts[0].wavelength

    @cached_property
    def stars(self):
        """Table of all spectra: astropy Table with id, star_id, visit, snr, ..."""
        return vstack(
            [part.stars for part in self.parts if part.n_stars] or [Table()],
            metadata_conflicts="silent",
        )

    def rows(self, ids):
        """Return the row of each id.

        Parameters
        ----------
        ids : sequence of N str

        Returns
        -------
        (N,) int array
            -1 where no spectrum has the id.
        """
        return rows_of(ids, self.column("id"))

    def column(self, name, default=None):
        """Return a column of the tables of stars, (n_stars,); text as bytes.

        See `SpectraFile.column`.
        """
        return np.concatenate(
            [part.column(name, default=default) for part in self.parts]
        )

    def read(self, rows):
        """Read spectra by their rows, in the order asked for.

        Parameters
        ----------
        rows : (N,) int array
            From 0 to n_stars - 1.

        Returns
        -------
        flux, ivar : (N, P) float32 arrays
        """
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and not (0 <= rows.min() and rows.max() < self.n_stars):
            raise InputError(
                f"{self.parts[0].path.parent}: rows {rows.min()} to {rows.max()} were "
                f"asked for; it has rows 0 to {self.n_stars - 1}"
            )
        flux = np.empty((len(rows), self.n_pixels), np.float32)
        ivar = np.empty_like(flux)
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(numbers):
            for i in np.flatnonzero(numbers == number):
                row = int(rows[i] - self.starts[number])
                flux[i], ivar[i] = self.parts[number].read_rows(row, row + 1)
            self.parts[number].close()
        return flux, ivar

    def blocks(self, size):
        """Read all spectra, at most ``size`` stars of one part at a time.

        Parameters
        ----------
        size : int
            At least 1.

        Yields
        ------
        start : int
            Row of the first star of the block.
        flux, ivar : (<=size, P) float32 arrays
        """
        for first, part in zip(self.starts, self.parts, strict=False):
            for start, flux, ivar in part.blocks(size):
                yield int(first) + start, flux, ivar
            part.close()

    def ids(self, start, stop):
        """Return the ids of spectra start, ..., stop - 1 as (stop - start,) texts."""
        pieces = [
            part.ids(max(start - first, 0), min(stop - first, part.n_stars))
            for first, part in zip(self.starts, self.parts, strict=False)
            if start < first + part.n_stars and stop > first
        ]
        return np.concatenate([np.empty(0, "U1"), *pieces])

    def verify(self):
        """Check the checksums of all files; see `SpectraFile.verify`."""
        for part in self.parts:
            part.verify()

    def require_normalised(self):
        """Refuse flux that is not divided by its continuum; see `SpectraFile`."""
        self.parts[0].require_normalised()


def rows_of(ids, own):
    """Return the row of each id among others.

    Parameters
    ----------
    ids : sequence of N str or bytes
    own : sequence of M str or bytes
        Where they are looked for; the first of equals is taken.

    Returns
    -------
    (N,) int array
        -1 where there is none.
    """
    ids, own = as_bytes(ids), as_bytes(own)
    if not len(own):
        return np.full(len(ids), -1)
    order = np.argsort(own, kind="stable")
    own = own[order]
    place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
    return np.where(own[place] == ids, order[place], -1)


def as_bytes(texts):
    """Return texts as bytes, as FITS keeps them: a quarter of the memory."""
    texts = np.asarray(texts)
    if texts.dtype.kind == "S":
        return texts
    return np.char.encode(texts.astype(str), "ascii", "backslashreplace")


def best_and_others(star_id, snr):
    """Pair the best spectrum of each star with each of its others.

    For the precision against S/N (Nandakumar+2022, fig. 9). A combined spectrum is
    the best of its star and holds the noise of its visits: the variance of its
    difference from a visit is that of the visit less its own, not their sum.

    Parameters
    ----------
    star_id : (S,) array of str
        Of each spectrum; spectra of an empty id have no pairs.
    snr : (S,) array
        NaN counts as lowest.

    Returns
    -------
    (M, 2) int array
        Rows of the best and of the other spectrum, by star and falling S/N.
    """
    star_id = np.asarray(star_id).astype(str)
    snr = np.nan_to_num(np.asarray(snr, dtype=float), nan=-np.inf)
    named = np.flatnonzero(star_id != "")
    rows = named[np.lexsort((named, -snr[named], star_id[named]))]
    first = np.r_[True, star_id[rows][1:] != star_id[rows][:-1]][: len(rows)]
    best = rows[np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))]
    return np.column_stack([best, rows])[~first]


def independent_pairs(star_id, visit):
    """Pair all spectra of each star whose noise is their own.

    For the scale of the formal errors (Nandakumar+2022, eq. 6): visits with visits,
    never with a spectrum combined from them.

    Parameters
    ----------
    star_id : (S,) array of str
        Of each spectrum; spectra of an empty id have no pairs.
    visit : (S,) int array
        0 = combined; left out where the star has visits.

    Returns
    -------
    (M, 2) int array
        Rows, the first below the second, by star.
    """
    star_id, visit = np.asarray(star_id).astype(str), np.asarray(visit)
    names, code = np.unique(star_id, return_inverse=True)
    visited = np.isin(np.arange(len(names)), code[visit > 0])
    alone = (star_id != "") & ((visit > 0) | ~visited[code])
    rows = np.flatnonzero(alone)
    rows = rows[np.argsort(code[rows], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(code[rows]) > 0][: len(rows)])
    groups = [g for g in np.split(rows, starts[1:]) if len(g) > 1]
    pairs = [np.column_stack(np.triu_indices(len(g), 1)) for g in groups]
    found = [group[pair] for group, pair in zip(groups, pairs, strict=True)]
    return np.concatenate([np.empty((0, 2), int), *found])


def _check_packing(part, number, first, count):
    """Refuse a part that is not the next one of the first one's packing."""
    if "PART" not in first.facts:
        return
    names = ("PART", "PARTS", "SURVEY", "PACKING")
    found = [part.facts.get(name) for name in names]
    expected = [number, *(first.facts.get(name) for name in names[1:])]
    if found != expected or first.facts.get("PARTS") != count:
        raise FileFormatError(
            f"{part.path}, primary HDU: {', '.join(names)} are {found}; {expected} "
            f"expected, and {count} parts are there: some are missing or from another "
            "run; run fastcannon pack again"
        )


def _check_grid(part, first):
    """Refuse a file on another grid, or of another state, than the first."""
    same = part.n_pixels == first.n_pixels and np.allclose(
        part.wavelength, first.wavelength, rtol=GRID_TOLERANCE, atol=0
    )
    if not same or part.normalised != first.normalised:
        raise InputError(
            f"{part.path} has {part.n_pixels} pixels from {part.wavelength[0]:.2f} to "
            f"{part.wavelength[-1]:.2f} Angstrom, normalised: {part.normalised}; "
            f"{first.path} has {first.n_pixels} from {first.wavelength[0]:.2f} to "
            f"{first.wavelength[-1]:.2f}, normalised: {first.normalised}. Resample and "
            "normalise all files of a survey alike"
        )
