"""The first section of the page: a run's numbers, grasped in a minute."""

from dataclasses import dataclass

from ..catalogue import FLAGS, MUST_BE_ZERO
from ..labels import unit
from .plotparts import plain_name
from .rundata import PIPELINES, RunData

_COUNTED = (*MUST_BE_ZERO, *FLAGS)
_WORDS = {
    "flag_Cannon_dist": "far from the training stars, or without labels",
    "flag_survey": "without one of the survey's own labels",
    "flag_snr": "low signal-to-noise ratio",
    "NO_DATA": "too few usable pixels",
    "NOT_CONVERGED": "the fit did not end",
    "OUTSIDE_HULL": "outside the hull of the training labels",
    "SINGULAR": "the spectrum does not fix every label",
    "SEVERAL_MINIMA": "a second minimum fits nearly as well",
    "CHI2_OUTLIER": "poor fit",
    "NOT_CATALOGUED": "not in the survey's catalogue",
    "FORMAL_ERRORS": "errors of some label are formal: no repeats",
}


@dataclass
class Fact:
    """A number and what it counts."""

    value: str
    words: str


@dataclass
class Scatter:
    """Scatter of a label between the surveys.

    Attributes
    ----------
    name, unit : str
    before : str
        (P84 - P16) / 2 of the surveys' own labels.
    after : list of (scale, text, share of before or None)
    """

    name: str
    unit: str
    before: str
    after: list[tuple[str, str, float | None]]


@dataclass
class Summary:
    """Numbers at a glance.

    Attributes
    ----------
    title : str
    text : str
        What was done, in two sentences.
    facts : list of Fact
    scatter : list of Scatter
    n_common : int
        Stars that the scatter is of.
    flags : list of (name, words, counts)
        Counts as text, one for each of ``columns``.
    columns : list of str
        Survey and scale.
    missing : list of str
    """

    title: str
    text: str
    facts: list[Fact]
    scatter: list[Scatter]
    n_common: int
    flags: list[tuple[str, str, list[str]]]
    columns: list[str]
    missing: list[str]


def glance(run: RunData) -> Summary:
    """Return the numbers of a run that its page begins with.

    Parameters
    ----------
    run : RunData

    Returns
    -------
    Summary
    """
    first, second = map(str.upper, run.surveys)
    counts = run.summary.get("catalogues", {})
    columns = {
        f"{survey.upper()}\n{scale}": counts[scale][survey]
        for scale in sorted(counts)
        for survey in run.surveys
        if survey in counts[scale]
    }
    flags = [
        (name, _WORDS.get(name, ""), [_number(c.get(name)) for c in columns.values()])
        for name in _COUNTED
        if any(c.get(name) for c in columns.values())
    ]
    pipelines = run.differences.get(PIPELINES)
    return Summary(
        title=f"{first} and {second} on common scales",
        text=(
            f"Stars of two surveys, {first} and {second}, with labels on the scale of "
            f"each: {', '.join(map(plain_name, run.names))}. The Cannon was trained on "
            "stars that both have observed, after Nandakumar et al. 2022."
        ),
        facts=_facts(run, counts),
        scatter=_scatters(run),
        n_common=0 if pipelines is None else int(max(pipelines["n_all"], default=0)),
        flags=flags,
        columns=list(columns),
        missing=run.missing,
    )


def _facts(run, counts):
    """Return the large numbers: stars, clean stars on each scale, training stars."""
    facts = []
    one = next(iter(counts.values()), {})
    facts += [
        Fact(_number(one[survey]["rows"]), f"stars of {survey.upper()}")
        for survey in run.surveys
        if survey in one
    ]
    for scale in sorted(counts):
        clean = sum(found["clean"] for found in counts[scale].values())
        facts.append(Fact(_number(clean), f"clean stars, {scale}"))
    if run.training is not None:
        facts.append(Fact(_number(len(run.training)), "training stars"))
    return facts


def _scatters(run: RunData) -> list[Scatter]:
    """Return the scatter between the surveys, before and on each scale."""
    pipelines = run.differences.get(PIPELINES)
    if pipelines is None:
        return []
    before = {row["parameter"]: float(row["scatter_all"]) for row in pipelines}
    found = []
    for name in (name for name in run.names if name in before):
        after = []
        for scale in run.surveys:
            table = run.differences.get(scale)
            if table is None or name not in table["parameter"]:
                continue
            own = float(table["scatter_all"][list(table["parameter"]).index(name)])
            share = own / before[name] if before[name] > 0 else None
            known = share is not None and share == share
            after.append(
                (f"{scale}-scaled", _value(own, name), share if known else None)
            )
        found.append(
            Scatter(plain_name(name), unit(name), _value(before[name], name), after)
        )
    return found


def _value(value, name):
    """Return a scatter as text, as the paper writes it."""
    if value != value:
        return "unknown"
    return f"{value:.0f}" if unit(name) == "K" else f"{value:.3f}"


def _number(count):
    return "-" if count is None else f"{count:,}"
