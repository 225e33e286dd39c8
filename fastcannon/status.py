"""Where a run stands: ``fastcannon run CONFIG --status``."""

from itertools import permutations

from . import fitsheaders, locks
from .config import OWN
from .runfolder import MANIFEST, RunFolder


def status(config):
    """Say where a run stands.

    Parameters
    ----------
    config : Config

    Returns
    -------
    list of str
        Lines of text: for each step the number of its files.
    """
    folder = RunFolder(config)
    now = "a run works here now" if locks.busy(folder.path) else "no run"
    lines = [f"{folder.path}: {now}"]
    pair = [survey.name for survey in config.pair()]
    names = [f"{survey}-on-{scale}" for survey in pair for scale in pair]
    wanted = {}
    for survey in config.pair():
        n_parts = _part_count(config, survey)
        wanted[survey.name] = n_parts
        lines.append(_progress_line(f"packed/{survey.name}", folder, n_parts))
    for kind in ("models", "validation"):
        there = sum((folder.path / kind / f"{n}.fits").exists() for n in names)
        lines.append(f"{kind:<40} {there} of {len(names)}")
    for name in names:
        n_parts = wanted[name.partition("-on-")[0]]
        lines.append(_progress_line(f"labels/{name}", folder, n_parts))
    for scale in pair:
        there = (folder.path / "catalogues" / f"{scale}-scaled.fits").exists()
        done = "written" if there else "not yet"
        lines.append(f"{f'catalogues/{scale}-scaled.fits':<40} {done}")
    if config.translate.networks:
        for kind in ("translators", "translated"):
            ways = [f"{a}-to-{b}.fits" for a, b in permutations(pair)]
            there = sum((folder.path / kind / way).exists() for way in ways)
            lines.append(f"{kind:<40} {there} of {len(ways)}")
    end = "finished" if (folder.path / MANIFEST).exists() else "not yet"
    lines.append(f"{MANIFEST:<40} {end}")
    return lines


def _part_count(config, survey):
    """Return how many packed parts a survey has or will have; None: not known yet."""
    if survey.format == OWN:
        return len(survey.files())
    found = sorted(RunFolder(config).packed(survey).glob("part-*.fits"))
    return fitsheaders.scan(found[0])[0].header.get("PARTS") if found else None


def _progress_line(what, folder, n_parts):
    there = len(list((folder.path / what).glob("part-*.fits")))
    return f"{what:<40} {there} of {'?' if n_parts is None else n_parts} parts"
