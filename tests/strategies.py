"""What callers may give: arrays, tables and texts, good, odd and bad."""

import warnings
from contextlib import contextmanager

import numpy as np
from astropy.table import MaskedColumn, Table
from hypothesis import strategies as st

from fastcannon.errors import FastcannonError, FastcannonWarning

DTYPES = ("f4", "f8", ">f4", ">f8", "f2", "i4", ">i2", "u1", "?", "c8", "O", "U4", "S3")
ODD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 5e-324, 1e-30, 1e30, 1e300, -1e300, 1.0)
LAYOUTS = ("plain", "fortran", "strided", "frozen", "masked", "list", "reversed")


@contextmanager
def documented(*arguments, allowed=()):
    """Allow the package's own errors and warnings alone, and no changed argument."""
    before = [snapshot(argument) for argument in arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastcannonWarning)
        try:
            yield
        except (FastcannonError, *allowed) as error:
            assert str(error).strip()
    for argument, old in zip(arguments, before, strict=True):
        assert snapshot(argument) == old, "an argument was changed"


def snapshot(argument):
    """Return everything of an argument that a function could change."""
    if isinstance(argument, Table):
        columns = (
            (n, snapshot(argument[n]), argument[n].unit) for n in argument.colnames
        )
        return repr((list(columns), sorted(argument.meta)))
    if isinstance(argument, np.ndarray):
        data, mask = np.ma.getdata(argument), np.ma.getmaskarray(argument)
        known = data.tolist() if data.dtype.hasobject else np.array(data).tobytes()
        return repr((data.dtype, data.shape, known, mask.tobytes()))
    return repr(argument)


@st.composite
def altered(draw, array, shapes=True):
    """Give an array with other values, type, layout or shape: seldom all at once."""
    array = np.array(array)
    for _ in range(draw(st.integers(0, 3))):
        flat = array.reshape(-1)
        if array.size and array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(ODD))
    if array.ndim == 2 and array.size and draw(st.integers(0, 5)) == 0:
        with np.errstate(over="ignore"):
            array[draw(st.integers(0, len(array) - 1))] = draw(st.sampled_from(ODD))
    if draw(st.integers(0, 2)) == 0:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            array = array.astype(draw(st.sampled_from(DTYPES)))
    if shapes and draw(st.integers(0, 4)) == 0:
        array = draw(st.sampled_from(_reshaped(array)))
    return laid_out(array, draw(st.sampled_from(LAYOUTS)))


def _reshaped(array):
    """Return an array in other shapes."""
    found = [array[:0], array[:1], array[..., :-1], array[None], array.reshape(-1)]
    first = np.asarray(array[0]) if len(array) else array
    return [*found, array[..., :0], np.array(1.0), first]


def laid_out(array, layout):
    """Return the same values as another kind of array."""
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "strided" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "reversed" and array.ndim:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if layout == "frozen" and array.ndim:
        array.flags.writeable = False
    if layout == "masked" and array.dtype.kind != "O":
        return np.ma.masked_array(
            array, mask=np.arange(array.size).reshape(array.shape) % 5 == 0
        )
    return array.tolist() if layout == "list" else array


@st.composite
def altered_table(draw, table):
    """Give a table with columns that are gone, masked, of other types or units."""
    table = Table(table, copy=True)
    for name in list(table.colnames):
        change = draw(st.integers(0, 12))
        if change == 0:
            table.remove_column(name)
        elif change == 1:
            masks = np.arange(len(table)) % draw(st.integers(1, 3)) == 0
            table[name] = MaskedColumn(table[name], mask=masks)
        elif change == 2:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                kind = draw(st.sampled_from(DTYPES))
                try:
                    table[name] = np.asarray(table[name]).astype(kind)
                except (TypeError, ValueError):
                    table[name] = np.full(len(table), "odd")
        elif change == 3 and table[name].dtype.kind == "f" and len(table):
            table[name][draw(st.integers(0, len(table) - 1))] = draw(
                st.sampled_from(ODD)
            )
        elif change == 4:
            table[name].unit = draw(st.sampled_from(["K", "dex", "km / s", "mas"]))
        elif change == 5:
            table[name] = np.zeros((len(table), 2))
    if draw(st.integers(0, 8)) == 0:
        table = table[:0]
    return table


@st.composite
def altered_text(draw, text):
    """Give a text with some of its pieces replaced, moved, doubled or gone."""
    for _ in range(draw(st.integers(1, 3))):
        lines = text.splitlines(keepends=True) or [""]
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.integers(0, 5))
        if change == 0:
            lines[at] = ""
        elif change == 1:
            lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
        elif change == 2:
            words = draw(st.sampled_from(WORDS))
            lines[at] = _value_replaced(lines[at], words)
        elif change == 3:
            lines[at] = draw(st.text(max_size=12)) + lines[at]
        else:
            start = draw(st.integers(0, len(lines[at])))
            stop = draw(st.integers(start, len(lines[at])))
            lines[at] = lines[at][:start] + draw(st.text(max_size=4)) + lines[at][stop:]
        text = "".join(lines)
    return text


def _value_replaced(line, words):
    for sign in ("=", ":", ","):
        before, found, _ = line.partition(sign)
        if found:
            return f"{before}{sign} {words}\n"
    return words


WORDS = (
    *("-1", "0", "1e400", "nan", "true", '""', "[]", "{}", "'x'", "[1, 2]", "null"),
    *("99999999999999999999", "[[1], 'a']", "1979-05-27", '"../../x"', '"\\u0000"'),
)
EDITS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 2**20), st.integers(0, 2**24 - 1)),
    min_size=1,
    max_size=4,
).map(
    lambda edits: b"".join(
        bytes([kind]) + place.to_bytes(4) + what.to_bytes(3)
        for kind, place, what in edits
    )
)
