"""Files of a catalogue: Parquet partitions, one FITS table, a manifest of a run.

Partitions are written and read one at a time, so that memory does not grow with the
catalogue. Nothing in a file depends on the time or place of writing.
"""

import hashlib
import json
import os
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet

from . import fitsfiles, fitsheaders
from .atomic import atomic_path
from .catalogue import Column, dress
from .errors import FileFormatError, InputError

KIND = "CATALOGUE"
CATALOGUE_VERSION = 1
_KEY, _DIGEST = b"fastcannon", b"fastcannon-sha256"
_COMPRESSION = "zstd"
LARGEST = 2**32  # bytes of a partition in memory
_DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(RuntimeError, MemoryError),
)


def write_partition(path, table, facts):
    """Write some rows of a catalogue as a Parquet file, whole or not at all.

    Units, UCDs and descriptions are in the metadata of the fields, facts in that of
    the schema; every page has a checksum. Integers have no nulls: readers would turn
    Gaia's ids into floats.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    table : astropy Table, N rows
        Of `catalogue.catalogue_rows`.
    facts : dict
        Of what JSON knows: text, finite numbers, lists, dicts.

    Raises
    ------
    InputError
        A column is masked or no plain one of text or numbers, or
        the facts are not JSON; see also `atomic_path`.
    """
    described = [_column(table, name) for name in table.colnames]
    fields = [
        pyarrow.field(
            column.name,
            pyarrow.string()
            if "U" in column.dtype
            else pyarrow.from_numpy_dtype(np.dtype(column.dtype)),
            nullable=False,
            metadata=column._asdict(),
        )
        for column in described
    ]
    text = _facts_text(path, facts)
    digest = _digest(text, described, len(table))
    schema = pyarrow.schema(fields, metadata={_KEY: text, _DIGEST: digest})
    arrays = [
        pyarrow.array(np.asarray(table[column.name], column.dtype))
        for column in described
    ]
    made = pyarrow.Table.from_arrays(arrays, schema=schema)
    with atomic_path(path) as temporary:
        parquet.write_table(
            made, temporary, compression=_COMPRESSION, write_page_checksum=True
        )


def read_partition(path):
    """Read a partition after checking all that its checksums cover.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    table : astropy Table
        As it was given to `write_partition`.
    facts : dict

    Raises
    ------
    FileFormatError
        The file is damaged, cut short or not a partition.
    FileNotFoundError
    """
    with _reading(path):
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            metadata = file.schema_arrow.metadata or {}
            if not {_KEY, _DIGEST} <= set(metadata):
                raise FileFormatError(
                    f"{path} is a Parquet file, but no partition of a fastcannon "
                    "catalogue; give one of those"
                )
            described = _described(file.schema_arrow)
            _check_size(described, file.metadata.num_rows)
            # One thread: workers share the processors already.
            found = file.read(use_threads=False)
        text = metadata[_KEY].decode()
        if metadata[_DIGEST].decode() != _digest(text, described, found.num_rows):
            raise ValueError("the checksum of its metadata does not agree")
        table = Table()
        for column in described:
            values = found[column.name].to_numpy()
            table[column.name] = values.astype(column.dtype, copy=False)
        return dress(table, described), json.loads(text)


def write_catalogue(path, partitions, columns, header):
    """Write partitions as one FITS table with checksums, whole or not at all.

    One partition is in memory at a time. Ids of other catalogues have TNULL = 0.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    partitions : sequence of str or Path
        In the order of the rows.
    columns : sequence of Column
        Of every partition; text may be shorter there.
    header : dict
        Provenance, for the primary header: keyword of at most 8 characters to value
        or (value, comment).

    Raises
    ------
    FileFormatError
        A partition is damaged or has other columns.
    InputError
        The header cannot be written; see also `read_partition` and
        `atomic_path`.
    """
    primary = _primary_header(path, header)
    empty = dress(Table({c.name: np.empty(0, c.dtype) for c in columns}), columns)
    expected = [_column(empty, name) for name in empty.colnames]
    n_rows = sum(map(_row_count, partitions))
    extension = _table_header(empty, expected, n_rows)
    fitsheaders.reserve_checksum(extension)
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as handle:
            for one in (primary, extension):
                handle.write(fitsheaders.header_bytes(one))
            for partition in partitions:
                records = _records(partition, expected)
                n_rows -= len(records)
                handle.write(records.data)
            handle.write(bytes(-handle.tell() % fitsheaders.BLOCK))
        if n_rows:
            raise FileFormatError(
                f"{path}: partitions changed while they were read ({-n_rows:+d} rows); "
                "is another run writing them? Run again"
            )
        fitsheaders.stamp_checksums(temporary)


def write_manifest(path, folder, without=(), run=None):
    """Write the SHA-256 of every file below a folder as ``sha256sum`` does.

    ``sha256sum -c`` in the manifest's own folder checks it. The manifest, lock files
    (*.lock, *.writing) and temporary files (.*.tmp) are left out.

    Parameters
    ----------
    path : str or Path
        Of the manifest; replaced if it exists.
    folder : str or Path
    without : sequence of str
        Files and folders in it that are left out.
    run : callable, optional
        Workers that read the files, of `scheduler.open_workers`. Default: this process.

    Raises
    ------
    InputError
        The folder does not exist, or the name of a file has a line break or a
        backslash; see also `atomic_path`.
    """
    home = Path(path).resolve().parent
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: there is no such folder; give that of a run")
    files, left_out = {}, {Path(folder).resolve() / name for name in without}
    for file in Path(folder).resolve().rglob("*"):
        if not file.is_file() or file == home / Path(path).name or _passing(file):
            continue
        if left_out & {file, *file.parents}:
            continue
        name = Path(os.path.relpath(file, home)).as_posix()
        if set(name) & set("\\\n\r"):
            raise InputError(
                f"{file}: a manifest cannot hold names with a line break or a "
                "backslash; rename the file"
            )
        files[name] = str(file)
    names = sorted(files)
    paths = [files[name] for name in names]
    sums = run(_sha256, paths) if run else map(_sha256, paths)
    lines = (f"{one}  {name}\n" for one, name in zip(sums, names, strict=True))
    with atomic_path(path) as temporary:
        temporary.write_bytes(os.fsencode("".join(lines)))


def check_manifest(path):
    """Compare files with their manifest.

    Parameters
    ----------
    path : str or Path
        Written by `write_manifest`; names count from its folder.

    Returns
    -------
    list of str
        A sentence for each file that is missing or changed; empty: all are as they
        were.

    Raises
    ------
    FileFormatError
        A line is not one of a manifest.
    FileNotFoundError
    """
    problems = []
    *lines, rest = os.fsdecode(Path(path).read_bytes()).split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise FileFormatError(
                f"{path}, line {number}: {line[:90]!r} is not the SHA-256 and name of "
                "a file; the manifest is damaged: write it again"
            )
        file = Path(path).parent / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif _sha256(file) != digest:
            problems.append(f"{name} was changed or is damaged")
    return problems


@contextmanager
def _reading(path):
    """Turn what pyarrow raises on a damaged file into FileFormatError."""
    try:
        yield
    except (FileFormatError, FileNotFoundError):
        raise
    # Damaged bytes can also ask for absurd sizes, or name no type that there is.
    except (pyarrow.ArrowException, *_DAMAGED) as error:
        raise FileFormatError(
            f"{path} cannot be read as a partition of a catalogue ({error}); it is "
            "damaged or cut short: remove it and run again, or copy it again"
        ) from error


def _row_count(path):
    """Return the number of rows that the metadata of a partition announce."""
    with _reading(path):
        return parquet.read_metadata(path).num_rows


def _column(table, name):
    """Return a table's column as Column, refusing what partitions cannot hold."""
    found = table[name]
    values = np.ma.asanyarray(found)
    if values.dtype.kind not in "Uif" or values.ndim != 1 or np.ma.is_masked(values):
        raise InputError(
            f"column {name} has type {values.dtype}, shape {values.shape}, masked: "
            f"{np.ma.is_masked(values)}; a catalogue holds text, integers and floats, "
            "one per row and none masked"
        )
    return Column(
        name=name,
        dtype=values.dtype.str[1:],
        unit="" if found.unit is None else found.unit.to_string(),
        ucd=found.meta.get("ucd", ""),
        description=found.description or "",
    )


def _described(schema):
    """Return the columns that the fields of a partition describe."""
    described = [
        Column(
            **{key.decode(): value.decode() for key, value in field.metadata.items()}
        )
        for field in schema
    ]
    for column in described:
        if not re.fullmatch(r"[if][1248]|U\d{1,4}", column.dtype):
            raise ValueError(f"column {column.name} has the type {column.dtype}")
    return described


def _check_size(described, n_rows):
    """Refuse rows that no memory holds: a few bytes of Parquet may stand for them."""
    size = n_rows * sum(np.dtype(column.dtype).itemsize for column in described)
    if size > LARGEST:
        raise ValueError(
            f"{n_rows} rows take {size:.1e} bytes, more than any partition"
        )


def _facts_text(path, facts):
    """Return facts as JSON, the same for the same facts."""
    try:
        return json.dumps(facts, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the facts {facts} cannot be kept as JSON ({error}); give text, "
            "finite numbers, lists and dicts of them"
        ) from error


def _digest(text, described, n_rows):
    """Return the SHA-256 of what the checksums of Parquet's pages do not cover."""
    everything = json.dumps([text, described, n_rows])
    return hashlib.sha256(everything.encode()).hexdigest()


def _primary_header(path, header):
    """Return the primary header with the cards given."""
    made = fits.PrimaryHDU().header
    fitsheaders.identify(made, KIND, CATALOGUE_VERSION, 2)
    fitsheaders.reserve_checksum(made)
    own = set(made)
    for keyword, value in header.items():
        try:
            if not re.fullmatch("[A-Z0-9_-]{1,8}", keyword) or keyword in own:
                raise ValueError("the keyword is not free, or not of 1 to 8 A-Z 0-9 _-")
            made[keyword] = value
            made.tostring()
        except (TypeError, ValueError, fits.VerifyError) as error:
            raise InputError(
                f"{path}: the header card {keyword!r} = {value!r} cannot be written in "
                f"FITS ({error})"
            ) from error
    return made


def _table_header(empty, columns, n_rows):
    """Return the header of a table of n_rows rows with an empty table's columns."""
    header = fitsfiles.table_to_hdu(empty, KIND).header
    header["NAXIS2"] = n_rows
    for number, column in enumerate(columns, start=1):
        header[f"TUCD{number}"] = column.ucd
        if column.ucd == "meta.id.cross":
            header[f"TNULL{number}"] = 0
    return header


def _records(path, columns):
    """Return the rows of a partition as FITS records: big-endian, ASCII text."""
    table, _ = read_partition(path)
    found = [_column(table, name) for name in table.colnames]
    if len(found) != len(columns) or not all(map(_goes_into, found, columns)):
        odd = {c.name for c in found} ^ {c.name for c in columns}
        raise FileFormatError(
            f"{path}: its columns are not those of the catalogue (different: "
            f"{', '.join(sorted(odd)) or 'types, units or order'}); it is of another "
            "run: remove it and run again"
        )
    kinds = [(c.name, c.dtype.replace("U", "S")) for c in columns]
    records = np.empty(len(table), np.dtype(kinds).newbyteorder(">"))
    for column in columns:
        records[column.name] = table[column.name]
    return records


def _goes_into(found, column):
    """Tell whether a partition's column is the catalogue's; text may be shorter."""
    if "U" in found.dtype and "U" in column.dtype:
        if int(found.dtype[1:]) <= int(column.dtype[1:]):
            found = found._replace(dtype=column.dtype)
    return found == column


def _passing(file):
    """Tell whether a file is a lock or one that is being written."""
    temporary = file.name.startswith(".") and file.suffix == ".tmp"
    return temporary or file.name.endswith((".lock", ".writing"))


def _sha256(file):
    """Return the SHA-256 of a file as text; memory does not grow with the file."""
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
