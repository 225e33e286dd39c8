"""Numbers of a translator as lines of text."""

import numpy as np

_SCATTERS = ("bias", "scatter", "identity", "linear", "quadratic")
_MAPS = ("identity", "linear", "quadratic", "networks", "blend", "bias")


def summary_lines(translator, table):
    """Return how well each map does on held-out stars.

    Parameters
    ----------
    translator : Translator
        Trained.
    table : astropy Table
        What it was trained on, for the width of its intervals.

    Returns
    -------
    list of str
        A header, then a line per output: robust scatter of each map and bias, label
        units, share of the networks, median half width of the 95 % interval.
    """
    made = translator.apply(table, level=0.95)
    rows = [["output", "unit", *_MAPS, "share", "95 % interval"]]
    for line in translator.summary():
        name, size = line["output"], line["blend"]
        numbers = [_number(line[kind], size) for kind in _MAPS]
        half = np.median(made[f"{name}_high"] - made[f"{name}_low"]) / 2
        ends = (f"{line['share']:.2f}", f"+- {_number(half, size)}")
        rows.append([name, line["unit"], *numbers, *ends])
    return _aligned(rows, 2)


def importance_lines(table):
    """Return `Translator.importance` as lines: value and percentage of each output."""
    names = table.colnames[1::2]
    rows = [["input", *names]]
    for line in table:
        row = [line["input"]]
        for name in names:
            size = _number(line[name], table[name].max())
            row.append(f"{size} ({line[f'{name}_percent']:.0f} %)")
        rows.append(row)
    return _aligned(rows, 1)


def comparison_lines(table):
    """Return the table of `compare.compare` as lines."""
    rows = [["output", "unit", "stars", *_SCATTERS, "68 %", "95 %", "pull"]]
    for line in table:
        numbers = [_number(line[name], line["scatter"]) for name in _SCATTERS]
        shares = [f"{100 * line[f'inside_{level}']:.1f}" for level in (68, 95)]
        head = (line["output"], line["unit"], f"{line['stars']:,}")
        rows.append([*head, *numbers, *shares, f"{line['pull']:.2f}"])
    return _aligned(rows, 2)


def flags_text(flags):
    """Return counts of flags, and of rows with "any", as text."""
    if not flags["any"]:
        return "none"
    kinds = (f"{name} {n:,}" for name, n in flags.items() if n and name != "any")
    return f"{flags['any']:,} ({', '.join(kinds)})"


def _aligned(rows, n_left):
    """Return rows of text as lines; the first columns stand left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if k < n_left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value, size):
    """Return a number with the digits that suit what is of this size."""
    digits = 1 if size >= 10 else 3 if size >= 0.5 else 4
    return f"{value:.{digits}f}"
