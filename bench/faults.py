"""Faults, many of them: python -m bench.faults. Writes docs/reliability.md.

Kills, full disks, flipped bits, files that change, lost workers, two processes in one
folder. The exit code is 1 if one of them had another end than it must have. A shorter
one: --kills 12 --flips 200 --fills 2.
"""

import argparse
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from string import Template

import numpy as np

from . import fault_flips, fault_pictures
from .compare import BASELINE, read_baseline
from .fault_flips import CRASH, DETECTED, HARMLESS, SILENT, flip_all, kinds
from .fault_ground import Ground, simulated
from .fault_kills import SAME, disturb, measured
from .fault_stops import (
    FITS,
    KEPT,
    SHARES,
    can_mount,
    changes,
    fill,
    fill_files,
    lose_dask_workers,
    lose_workers,
    two_at_once,
)
from .first_hour import hour_text
from .fuzz import fuzz_table
from .ratios import ratios_text, scatter_of
from .reliability import PAGE, save
from .trust import trust_text

TEMPLATE = Path(__file__).with_name("reliability.md.in")
KILLS, FLIPS, FILLS = 100, 1000, len(SHARES)
ROUNDS = 3  # of runs that lose workers
# Of the kills, by command; the rest are of runs.
SHARE_OF_KILLS = {
    "pack": 0.1,
    "train": 0.1,
    "translate train": 0.1,
    "translate apply": 0.1,
    "report": 0.1,
}


def main():
    """Do all of it, write what came of it, draw it."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--flips", type=int, default=FLIPS)
    parser.add_argument("--fills", type=int, default=FILLS)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.folder or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found = {"kills": [], "flips": [], "fills": [], "checks": [], "mounted": True}
        try:
            all_faults(folder, options, found)
        except KeyboardInterrupt:
            tell("stopped: the page will show what was done until now")
    found["minutes"] = round((time.perf_counter() - start) / 60)
    found["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    write_page(found)
    wrong = not_well(found)
    tell(*wrong, f"{len(wrong)} faults had another end than they must have", sep="\n")
    return 1 if wrong else 0


def all_faults(folder, options, found):
    """Add what came of every fault to plain lists."""
    chance = random.Random(1)
    ground = Ground(folder, simulated(folder / "surveys"))
    commands = all_commands(ground)
    run = commands["run"]
    single = {
        "spectra": folder / "stars.fits",
        "translator": commands["translate train"].folder / "model.fits",
        "table": folder / "common.ecsv",
    }
    flips = flip_all(kinds(run.folder, single), options.flips, np.random.default_rng(1))
    found["flips"] = [flip._asdict() for flip in flips]
    tell("flips", Counter(flip.outcome for flip in flips))
    model = commands["train"].folder / "model.fits"
    (folder / "changes").mkdir()
    checks = changes(ground, model, folder / "changes")
    translator = single["translator"]
    checks += two_at_once(ground, run, translator, folder / "two")
    checks.append(lose_workers(commands["pack"], folder / "lost-pack", chance))
    for number in range(ROUNDS):
        checks.append(lose_workers(run, folder / f"lost-{number}", chance))
        lost = ground, run, folder / f"dask-{number}"
        checks.append(lose_dask_workers(*lost, chance))
    found["checks"] = [one._asdict() for one in checks]
    tell("checks", *(one for one in checks if not one.well))
    found["mounted"] = can_mount(folder / "disk")
    all_fills(commands, folder, options.fills, found)
    all_kills(commands, folder, options.kills, chance, found["kills"])


def all_commands(ground):
    """Return the commands, each run once undisturbed."""
    folder = ground.folder
    measured("warm", ground.run, folder)  # compiles the kernels
    found = {
        "run": measured("run", ground.run, folder),
        "pack": measured("pack", ground.pack, folder),
        "train": measured("train", ground.train, folder),
        "translate train": measured("translate train", ground.translate_train, folder),
        "validate": measured("validate", ground.validate, folder),
    }
    whole, model = found["run"].folder, found["train"].folder / "model.fits"
    other = found["translate train"].folder / "model.fits"
    later = {
        "infer": lambda out: ground.infer(out, model),
        "report": lambda out: ground.report(out, whole),
        "translate apply": lambda out: ground.translate_apply(out, other),
    }
    for name, prepare in later.items():
        found[name] = measured(name, prepare, folder)
    tell("seconds", {name: round(one.seconds, 1) for name, one in found.items()})
    return found


def all_kills(commands, folder, count, chance, found):
    """Add the kills of every command, and a quarter as many polite stops."""
    counts = {name: max(int(s * count), 1) for name, s in SHARE_OF_KILLS.items()}
    counts = {"run": count - sum(counts.values())} | counts
    for name, own in counts.items():
        polite = max(own // 8, 1)
        for what, times in (
            (signal.SIGKILL, own),
            (signal.SIGINT, polite),
            (signal.SIGTERM, polite),
        ):
            kills = disturb(commands[name], folder, times, chance, what)
            found += [kill._asdict() for kill in kills]
            tell(name, what.name, Counter(kill.outcome for kill in kills))
            for path in folder.glob(f"*-{what.name}-*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def all_fills(commands, folder, count, found):
    """Add what commands did on disks that were too small."""
    fills = found["fills"]
    chosen = np.linspace(0, len(SHARES) - 1, count).round().astype(int)
    for name, command in commands.items():
        sizes = [p.stat().st_size for p in command.folder.rglob("*") if p.is_file()]
        for number in chosen:
            share = SHARES[number]
            if found["mounted"]:
                one = fill(command, folder / "disk", share)
            else:
                out = folder / f"limited-{name.replace(' ', '-')}-{number}"
                one = fill_files(command, out, int(share * max(sizes)))
                one = one._replace(share=share)
            fills.append(one._asdict())
        tell(name, Counter(f["outcome"] for f in fills if f["command"] == name))


def not_well(found):
    """Return the faults that had another end than they must have."""
    good = (SAME, DETECTED, HARMLESS, KEPT, FITS)
    judged = [*found["kills"], *found["flips"], *found["fills"]]
    wrong = [one for one in judged if one["outcome"] not in good]
    return wrong + [one for one in found["checks"] if not one["well"]]


def write_page(found):
    """Write docs/reliability.md and its pictures from the results."""
    from .fault_kills import Kill
    from .fault_stops import Check, Full

    kills = [Kill(**one) for one in found["kills"]]
    flips = [fault_flips.Flip(**one) for one in found["flips"]]
    fills = [Full(**one) for one in found["fills"]]
    checks = [Check(**one) for one in found["checks"]]
    figures = {
        "kills": fault_pictures.kills_figure(kills, ["SIGKILL"]),
        "stops": fault_pictures.kills_figure(kills, ["SIGINT", "SIGTERM"]),
        "flips": fault_pictures.flips_figure(flips),
        "disks": fault_pictures.disks_figure(fills),
        "checks": fault_pictures.checks_figure(checks),
    }
    for name, figure in figures.items():
        save(figure, name)
    text = Template(TEMPLATE.read_text()).substitute(numbers(found))
    PAGE.write_text(text)


def numbers(found):
    """Return the numbers that the page names, as text."""
    killed = [kill for kill in found["kills"] if kill["signal"] == "SIGKILL"]
    stopped = [kill for kill in found["kills"] if kill["signal"] != "SIGKILL"]
    flips = Counter(flip["outcome"] for flip in found["flips"])
    fills = Counter(one["outcome"].partition(":")[0] for one in found["fills"])
    mounted = "a small disk in memory" if found["mounted"] else "a limit on file sizes"
    return {
        "kills": f"{len(killed):,}",
        "kills_same": f"{sum(kill['outcome'] == SAME for kill in killed):,}",
        "stops": f"{len(stopped):,}",
        "stops_same": f"{sum(kill['outcome'] == SAME for kill in stopped):,}",
        "flips": f"{sum(flips.values()):,}",
        **{name: f"{flips[name]:,}" for name in (DETECTED, HARMLESS, SILENT, CRASH)},
        "fills": f"{sum(fills.values()) - fills[FITS]:,}",
        "fills_kept": f"{fills[KEPT]:,}",
        "disk": mounted,
        "checks": f"{len(found['checks'])}",
        "checks_well": f"{sum(one['well'] for one in found['checks'])}",
        "fuzz": fuzz_table(),
        "trust": trust_text(),
        "ratios": ratios_text(scatter_of(read_baseline(BASELINE))),
        "hour": hour_text(),
        "minutes": f"{found['minutes']}",
        "machine": found["machine"],
    }


def tell(*things, sep=" "):
    """Say how far it is."""
    print(*things, sep=sep, flush=True)


if __name__ == "__main__":
    sys.exit(main())
