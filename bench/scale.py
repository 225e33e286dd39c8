"""What a run costs at survey scale, from measured rates: for docs/cross-survey.md.

Rates are of bench/results.json where they are measured there; the others are named here
with their source.
"""

from .results import HERE

DOCS = HERE.parent / "docs" / "cross-survey.md"
SPECTRA, CORES = (10**6, 10**7, 10**8), (2, 64, 2048)
MODELS = 2  # each spectrum is put on both scales
PIXELS = 8575
PACKED = PIXELS * 8  # bytes: flux and ivar
ROW = 930 * MODELS  # bytes of label table (with covariance) and catalogue, measured
DISK = 0.5e9  # bytes per second that a disk gives a machine: assumed
SHARED_DISK = (
    20e9  # the same of a cluster's file system, all machines together: assumed
)
CORES_OF_MACHINE = 32
PACKING = "apogee: packing in one process"
RATE = "packed spectra to catalogue rows, 8 starts, normalising it, one core"
PARENT = "memory of the run's parent per spectrum"


def table(rows):
    """Return the table as Markdown.

    Parameters
    ----------
    rows : list of Row
        Of a processor.
    """
    measured = {row.what: row.value for row in rows}
    lines = [
        "| spectra | cores | packing | inference, both scales | disk | memory of the "
        "parent | what binds |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in SPECTRA:
        for cores in CORES:
            lines.append(_line(n, cores, measured))
    return "\n".join(lines)


def _line(n, cores, measured):
    """Return the line of a number of spectra and of cores."""
    disk = DISK if cores <= CORES_OF_MACHINE else SHARED_DISK
    reading = n * PACKED / disk
    packing = {"processors": n * measured[PACKING] * 1e-3 / cores, "disk": 2 * reading}
    infer = {"processors": MODELS * n * measured[RATE] * 1e-6 / cores, "disk": reading}
    parent = n * measured[PARENT] / 2**30
    binds = {max(step, key=step.get) for step in (packing, infer)}
    memory = ", memory of the parent" if parent > 64 else ""
    return (
        f"| {n:.0e} | {cores:,} | {_time(max(packing.values()))} | "
        f"{_time(max(infer.values()))} | {_size(n * (PACKED + ROW))} | "
        f"{parent:.1f} GiB | {' and '.join(sorted(binds))}{memory} |"
    )


def _time(seconds):
    """Return seconds as text of a fitting unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(count):
    """Return bytes as text of a fitting unit."""
    return f"{count / 1e12:.2f} TB"
