"""Commands killed, or told to stop, at random moments, and started again."""

import os
import signal
import subprocess
import time
from typing import NamedTuple

from .fault_ground import (
    Command,
    contents,
    ended,
    halves,
    program,
    step_of,
    temporaries,
)

SAME, OTHER = "same bytes", "other bytes"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
DONE = (0, 3)  # 3: some simulated stars are refused
EARLIEST = 0.3  # seconds


class Kill(NamedTuple):
    """One kill: when, at what, and what came of it."""

    command: str
    signal: str
    seconds: float
    share: float  # of the time that an undisturbed command takes
    step: str
    outcome: str


def measured(name, prepare, folder):
    """Return a Command, run once undisturbed in a folder of its own."""
    out = folder / f"{name.replace(' ', '-')}-whole"
    arguments = prepare(out)
    start = time.perf_counter()
    done = ended(arguments)
    seconds = time.perf_counter() - start
    if done.returncode not in DONE:
        raise RuntimeError(f"{name}: {done.stderr}")
    return Command(name, prepare, contents(out), out, seconds)


def disturb(command, folder, count, chance, what=signal.SIGKILL):
    """Stop a command at random moments until it was stopped ``count`` times.

    Started again it goes on; once it ends, its files are compared and it begins anew.

    Parameters
    ----------
    command : Command
    folder : Path
        For its folders.
    count : int
    chance : random.Random
    what : signal.Signals
        SIGKILL goes to all its processes at once, as from a machine that dies.

    Returns
    -------
    list of Kill
    """
    found, number, latest = [], 0, command.seconds
    while len(found) < count:
        out = folder / f"{command.name.replace(' ', '-')}-{what.name}-{number}"
        number += 1
        mine, over = [], False
        while not over and len(found) + len(mine) < count:
            moment = chance.uniform(EARLIEST, max(latest, 1.0))
            stopped, said = stop(command.prepare(out), moment, what)
            over = not stopped
            latest *= 0.8 if over and not mine else 1.0  # it was faster than thought
            if stopped:
                half = halves(out, command.expected) + said
                step = step_of(out, command.expected) if command.name == "run" else ""
                share = moment / command.seconds
                mine.append((what.name, moment, share, step, half))
        end = finished(command, out)
        for name, moment, share, step, half in mine:
            outcome = SAME if not half and not end else f"{OTHER}: {half or end}"
            found.append(
                Kill(command.name, name, moment, share, step or command.name, outcome)
            )
    return found


def finished(command, out):
    """Let a command end; return what is not as if it had not been disturbed."""
    done = ended(command.prepare(out))
    if done.returncode not in DONE:
        return [f"exit code {done.returncode}: {done.stderr[-300:]}"]
    there = contents(out)
    wrong = [
        name
        for name in {*there, *command.expected}
        if there.get(name) != command.expected.get(name)
    ]
    # Folders of a run are swept by the next one; beside a single file nobody sweeps.
    return wrong + (temporaries(out) if command.name in ("run", "pack") else [])


def stop(arguments, moment, what):
    """Start a command and stop it after some seconds.

    Returns
    -------
    stopped : bool
        False: it had ended before.
    said : list of str
        What it should not have said, or its exit code if that is another.
    """
    process = subprocess.Popen(
        program(arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        # As Ctrl-C and batch systems do: to the program and all its workers.
        os.killpg(process.pid, what)
        _, said = process.communicate()
        return _judged(process.returncode, said, what)
    return False, []


def _judged(code, said, what):
    """Return whether a stopped process was stopped, and what is wrong with its end."""
    if what is signal.SIGKILL:
        return True, []
    if code in DONE:
        return False, []  # it was about to end
    lines = [line for line in said.splitlines() if "warning" not in line]
    one = len(lines) == 1 and lines[0].startswith("fastcannon: stopped")
    if code == CODES[what] and one:
        return True, []
    return True, [f"exit code {code}, {len(lines)} lines: {said[-1500:]}"]
