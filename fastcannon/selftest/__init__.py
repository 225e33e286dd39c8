"""``fastcannon selftest``: right answers, settings and speed on the user's machine."""

from . import labels, machine, speed
from .kernels import compare_kernels


def selftest(say):
    """Check this installation on this machine.

    Kernels against their twins, labels that are known, threads against each other;
    beside them versions, settings that are slow, and the speed in units of a matrix
    product. Takes less than a minute with all kernels to compile.

    Parameters
    ----------
    say : callable
        Called with each line as it is known: "PASS", "FAIL", "warn" or "note", and what
        about.

    Returns
    -------
    int
        How many checks failed.
    """
    parts = (
        machine.versions,
        machine.threads,
        machine.kernel_cache,
        machine.extras,
        _kernels,
        labels.recover,
        labels.threads_agree,
        speed.speed,
    )
    counts = {"PASS": 0, "FAIL": 0, "warn": 0, "note": 0}
    for part in parts:
        for kind, text in _outcomes(part):
            counts[kind] += 1
            say(f"{kind}  {text}")
    say(f"{counts['PASS']} passed, {counts['FAIL']} failed; warnings: {counts['warn']}")
    return counts["FAIL"]


def _kernels():
    """Yield (kind, text) of every kernel."""
    for name, difference, allowed in compare_kernels():
        kind = "PASS" if difference <= allowed else "FAIL"
        yield (
            kind,
            f"kernel {name}: {difference:.0e} from its twin in NumPy, allowed "
            f"{allowed:.0e}",
        )


def _outcomes(part):
    """Yield what a part finds; a part that raises has failed."""
    try:
        yield from part()
    except Exception as error:  # the other parts are told all the same
        yield "FAIL", f"{part.__name__.strip('_')}: {type(error).__name__}: {error}"
