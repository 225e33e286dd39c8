"""Bytes of files changed as damage or malice would, for tests and bench/fuzz.py.

An edit is a few bytes: where, and what is put there: other bits, the card of a header,
a cut, bytes taken twice. Files of ours are stamped again, so that what is behind the
checksums is reached.
"""

import numpy as np

from fastcannon import fitsheaders

BLOCK, CARD = fitsheaders.BLOCK, 80
KEYWORDS = (
    *("NAXIS", "NAXIS1", "NAXIS2", "BITPIX", "PCOUNT", "GCOUNT", "TFIELDS", "XTENSION"),
    *("TFORM1", "TFORM2", "TTYPE1", "TDIM1", "TNULL2", "TSCAL2", "TZERO1", "TUNIT2"),
    *("BSCALE", "BZERO", "BLANK", "EXTNAME", "ZIMAGE", "CRVAL1", "CDELT1", "CRPIX1"),
    *("FCNHDUS", "FCVERS", "FCTYPE", "L1", "SCATTER", "ORDER", "REGION1", "ERRFLOOR"),
    *("NORMED", "PART", "ENSEMBLE", "SEED", "LIMIT", "NVISITS", "SNR", "RVCOM", "END"),
)
VALUES = (
    *("0", "1", "-1", "2", "3", "8", "-32", "-64", "1000000", "4294967296", "T", "F"),
    *("1E4000", "NaN", "1.5", "''", "'1PE(9)'", "'0A'", "'999999999A'", "'8D'", "'K'"),
    *("'(3,3)'", "'(1000000,1000)'", "'IMAGE'", "'BINTABLE'", "'THETA'", "'a b'", "x"),
    *("9223372036854775807", "99999999999999999999999", "1D300", "'STARS'", ""),
)
CARDS = [
    f"{key:8}= {value:>20}".ljust(CARD).encode() for key in KEYWORDS for value in VALUES
]


def damaged(content, edits):
    """Return a file with edits: the bytes of kind, place (4) and what (3) of each.

    Parameters
    ----------
    content : bytes
    edits : bytes
        Of any length; what is left over after groups of 8 is not used.
    """
    content = bytearray(content)
    for start in range(0, len(edits) - 7, 8):
        kind, place = edits[start], int.from_bytes(edits[start + 1 : start + 5])
        what = int.from_bytes(edits[start + 5 : start + 8])
        _edit(content, kind % 8, place % max(len(content), 1), what)
    return bytes(content)


def _edit(content, kind, place, what):
    if kind <= 3:  # most lies are told in headers
        cards = list(_card_places(content))
        if cards:
            at = cards[place % len(cards)]
            if kind == 3:  # another value in the card that is there
                content[at + 10 : at + CARD] = CARDS[what % len(CARDS)][10:]
            else:
                content[at : at + CARD] = CARDS[what % len(CARDS)]
    elif kind == 4:
        content[place : place + 3] = what.to_bytes(3)
    elif kind == 5 and content:
        content[place] ^= 1 << what % 8
    elif kind == 6:
        del content[place - place % (BLOCK if what % 2 else 1) :]
    else:
        first = place - place % BLOCK
        content[first:first] = content[first : first + BLOCK * (1 + what % 3)]


def _card_places(content):
    """Yield the places of the cards of all headers."""
    for start, data, _ in hdu_places(content):
        yield from range(start, data, CARD)


def hdu_places(content):
    """Yield (header, data, end) of each HDU, found by XTENSION and END alone."""
    starts, place = [0], BLOCK
    while 0 <= (place := content.find(b"XTENSION=", place)):
        if place % BLOCK == 0:
            starts.append(place)
        place += 1
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        data = start
        while data < end:
            data += BLOCK
            if content[data - BLOCK : data].rstrip().endswith(b"END"):
                break
        yield start, min(data, end), end


def stamped(content):
    """Return a file whose checksums are right, whatever its headers say."""
    content = bytearray(content)
    for start, data, end in hdu_places(content):
        sums = {key: content.find(f"{key:8}=".encode(), start, data) for key in _SUMS}
        if min(sums.values()) < 0 or (end - start) % 4 or (data - start) % 4:
            continue
        zeros = f"CHECKSUM= '{'0' * 16}'".ljust(CARD).encode()
        content[sums["CHECKSUM"] : sums["CHECKSUM"] + CARD] = zeros
        data_sum = _word_sum(content[data:end])
        card = f"DATASUM = '{data_sum:<8}'".ljust(CARD).encode()
        content[sums["DATASUM"] : sums["DATASUM"] + CARD] = card
        total = fitsheaders._fold(data_sum + _word_sum(content[start:data]))
        card = f"CHECKSUM= '{fitsheaders._encode(0xFFFFFFFF - total)}'".ljust(CARD)
        content[sums["CHECKSUM"] : sums["CHECKSUM"] + CARD] = card.encode()
    return bytes(content)


_SUMS = ("CHECKSUM", "DATASUM")


def _word_sum(content):
    words = np.frombuffer(bytes(content), ">u4").astype(np.uint64)
    return fitsheaders._fold(int(words.sum()))
