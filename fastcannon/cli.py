"""The command ``fastcannon``: reads its arguments, then calls one of `commands`."""

import argparse
import signal
import sys
import warnings
from contextlib import contextmanager

from . import commands
from .errors import FastcannonError
from .subcommands import add_command, add_quiet, say
from .translate.command import add_translate

EXAMPLES = {
    "init": """\
example:
  fastcannon init fastcannon.toml

Writes a configuration in which every key is explained, to be edited.
""",
    "simulate": """\
example:
  fastcannon simulate surveys --stars 1000

Writes two surveys of one simulated Galaxy in the files of APOGEE and GALAH, the
hidden truth, and surveys/fastcannon.toml, with which fastcannon run begins.
""",
    "pack": """\
example:
  fastcannon pack fastcannon.toml

Packs the small files of each survey into a few large ones, in parallel. Finished
parts are kept when it is started again. Files that cannot be used are listed with
the reason; the exit code is then 3.
""",
    "match": """\
example:
  fastcannon match fastcannon.toml

Finds the stars that two packed surveys have in common, applies the cuts, says what
each of them removed, and compares the two scales of labels.
""",
    "run": """\
example:
  fastcannon run fastcannon.toml

Packs, matches, trains and cross-validates models for the spectra and the labels of
either survey, infers all spectra, finds errors from repeats and writes a catalogue
for each scale, into the output folder of the configuration. Started again, it goes
on where it ended; --status says where that is.
""",
    "report": """\
example:
  fastcannon report run --members members.ecsv --isochrones parsec.dat

Draws the figures and tables of a run and writes them with a page, report/index.html,
into its folder. The run need not be finished: the page says what is missing.
""",
    "train": """\
example:
  fastcannon train stars.fits --labels teff logg fe_h -o model.fits

The spectra file holds normalised spectra of stars with known labels; the labels
are columns of its table STARS (fastcannon info stars.fits lists them). It is
written with fastcannon.write_spectra.
""",
    "validate": """\
example:
  fastcannon validate stars.fits --labels teff logg fe_h --figure one_to_one.png

Every star is inferred by a model that was trained without it and compared with
its given labels: the mean difference (bias), half the 16 to 84 percentile range
of the differences (16-84) and 1.4826 times their median absolute deviation (MAD).
""",
    "infer": """\
example:
  fastcannon infer model.fits survey.fits -o labels.fits

The table of labels has a row for each spectrum, in order: its id, the labels,
their formal errors (e_...), chi2, the reduced chi2 (r_chi2), the signal to noise
ratio, and status: 0, or bits that say what is wrong. fastcannon info labels.fits
counts them.
""",
    "info": """\
example:
  fastcannon info model.fits
""",
    "selftest": """\
example:
  fastcannon selftest

Takes less than a minute: kernels against plain NumPy, a small model against labels that
are known, one thread against all; then the settings of threads, optional packages, and
the speed in units of a matrix product. The exit code is 1 where a check failed.
""",
}


def program():
    """Run the command line as the whole of a process; return its exit code."""
    code = main()
    if code < 128:
        # A stop comes too late now, and would only hide the exit code.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    return code


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the name of the program; default: those of the process.

    Returns
    -------
    int
        Exit code: 0, 1 if a check of selftest failed, 2 for input that cannot be used,
        3 if all was done but for some files that were refused, 130 or 143 if it was
        stopped by Ctrl-C or SIGTERM.
    """
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings(), _stoppable():
        # One line, not the line of code it comes from.
        warnings.showwarning = _show_warning
        try:
            return arguments.command(arguments) or 0
        except FastcannonError as error:
            return _fail(error)
        except OSError as error:
            if error.filename is None:
                return _fail(error)
            return _fail(f"{error.filename}: {error.strerror}")
        except KeyboardInterrupt as stop:
            say("fastcannon: stopped; files that are finished are kept", sys.stderr)
            return 128 + getattr(stop, "signal", signal.SIGINT)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the work as Ctrl-C does."""

    signal = signal.SIGTERM


@contextmanager
def _stoppable():
    """Let SIGTERM, of a batch system for example, end the work in order."""

    def stop(*_):
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # in a thread: the signals belong to the main one
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _fail(text):
    """Print an error without empty space and return the exit code of bad input."""
    lines = [" ".join(line.split()) for line in str(text).splitlines()]
    say("fastcannon: error: " + "\n  ".join(lines), sys.stderr)
    return 2


def _show_warning(message, *_, **__):
    """Print a warning without the line of code it comes from."""
    say(f"fastcannon: warning: {message}", sys.stderr)


def _parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="fastcannon",
        description="The Cannon: learn how spectra depend on stellar labels from stars "
        "whose labels are known, then infer the labels of other stars.",
        epilog="fastcannon COMMAND --help says more about a command.",
    )
    parsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="name"
    )
    _add_surveys(parsers)
    _add_report(parsers)
    _add_spectra(parsers)
    add_translate(parsers)
    info = add_command(
        parsers, "info", commands.info, "say what a file holds", EXAMPLES
    )
    info.add_argument(
        "file", metavar="FILE", help="model, spectra file or table of labels"
    )
    add_command(
        parsers, "selftest", commands.selftest, "check this installation", EXAMPLES
    )
    return parser


def _add_surveys(parsers):
    """Add the commands that work by a configuration."""
    init = add_command(
        parsers, "init", commands.init, "write an example of a configuration", EXAMPLES
    )
    init.add_argument("config", metavar="FILE", nargs="?", default="fastcannon.toml")
    simulate = _add_simulate(parsers)
    pack = add_command(
        parsers, "pack", commands.pack, "pack the spectra of surveys", EXAMPLES
    )
    match = add_command(
        parsers,
        "match",
        commands.match,
        "find the stars surveys have in common",
        EXAMPLES,
    )
    run = add_command(
        parsers,
        "run",
        commands.run,
        "do it all: from survey files to catalogues",
        EXAMPLES,
    )
    for command in (pack, match, run):
        command.add_argument("config", metavar="CONFIG", help="configuration, TOML")
    for command, option in (
        (simulate, "--processes"),
        (pack, "--processes"),
        (run, "--workers"),
    ):
        command.add_argument(
            option, type=int, metavar="N", help="default: one for each core"
        )
    run.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster, which has the workers",
    )
    run.add_argument("--status", action="store_true", help="say where a run stands")
    for command in (init, simulate, pack, match, run):
        add_quiet(command.add_argument_group("running"))


def _add_simulate(parsers):
    simulate = add_command(
        parsers,
        "simulate",
        commands.simulate,
        "write two simulated surveys to disk",
        EXAMPLES,
    )
    simulate.add_argument("folder", metavar="FOLDER", help="new folder for the files")
    for option, default, text in (
        ("--stars", 1000, "of each survey (default: %(default)s)"),
        (
            "--overlap",
            None,
            "stars in both (default: a tenth, but 600 or all of fewer)",
        ),
        ("--seed", 0, "of all that is random (default: %(default)s)"),
    ):
        simulate.add_argument(option, type=int, default=default, metavar="N", help=text)
    return simulate


def _add_report(parsers):
    report = add_command(
        parsers,
        "report",
        commands.report,
        "show a run: figures, tables, page",
        EXAMPLES,
    )
    report.add_argument("run", metavar="RUN", help="output folder of a run")
    report.add_argument(
        "--members",
        metavar="TABLE",
        help="of clusters: cluster, dr3_source_id, dr2_source_id or survey_id, "
        "probability",
    )
    report.add_argument(
        "--literature",
        metavar="TABLE",
        help="on clusters: cluster, kind, age (Gyr), fe_h, alpha_fe and errors (e_...)",
    )
    report.add_argument(
        "--isochrones",
        nargs="+",
        default=(),
        metavar="FILE",
        help="of PARSEC as the CMD web page writes them",
    )
    report.add_argument(
        "--synthetic",
        metavar="TABLE",
        help="two spectra to lay over the difference of two stars: wavelength, flux_a, "
        "flux_b",
    )
    add_quiet(report.add_argument_group("running"))


def _add_spectra(parsers):
    """Add the commands that work on spectra files and model files."""
    train = add_command(
        parsers, "train", commands.train, "train a model on stars with labels", EXAMPLES
    )
    _add_training_set(train)
    _add_output(train, "file for the model", required=True)
    _add_model(train)
    validate = add_command(
        parsers,
        "validate",
        commands.validate,
        "test a model on the stars it is trained on",
        EXAMPLES,
    )
    _add_training_set(validate)
    _add_output(validate, "file for a table of given and inferred labels")
    _add_folds(validate)
    _add_model(validate)
    infer = add_command(
        parsers, "infer", commands.infer, "infer the labels of spectra", EXAMPLES
    )
    _add_inference(infer)
    for command in (train, validate, infer):
        _add_running(command)


def _add_folds(parser):
    parser.add_argument(
        "--figure", metavar="FILE", help="file for a figure (.png, .pdf)"
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=12,
        metavar="N",
        help="parts of the stars, left out in turn (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the random division into parts (default: %(default)s)",
    )


def _add_inference(parser):
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("spectra", metavar="SPECTRA", help="spectra file, normalised")
    _add_output(parser, "file for the table of labels", required=True)
    parser.add_argument(
        "--starts",
        type=int,
        default=8,
        metavar="N",
        help="descents per spectrum; more find the best fit more surely "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--block",
        type=int,
        default=1024,
        metavar="N",
        help="spectra in memory at a time (default: %(default)s)",
    )


def _add_training_set(parser):
    parser.add_argument(
        "spectra", metavar="SPECTRA", help="spectra file, normalised, with labels"
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        required=True,
        metavar="NAME",
        help="columns of the spectra file to learn",
    )


def _add_output(parser, what, required=False):
    parser.add_argument("-o", "--output", required=required, metavar="FILE", help=what)


def _add_model(parser):
    group = parser.add_argument_group("model")
    group.add_argument(
        "--degree",
        type=int,
        default=2,
        metavar="N",
        help="all products of labels up to this degree (default: %(default)s)",
    )
    group.add_argument(
        "--terms",
        nargs="+",
        metavar="TERM",
        help="these terms instead, for example: teff logg 'teff^2' 'teff*logg'",
    )
    group.add_argument(
        "--l1",
        type=float,
        default=0.0,
        metavar="STRENGTH",
        help="penalty on the sum of absolute coefficients (default: none)",
    )
    group.add_argument(
        "--scatter",
        choices=("likelihood", "median"),
        default="likelihood",
        help="how the scatter of each pixel is found (default: %(default)s)",
    )


def _add_running(parser):
    group = parser.add_argument_group("running")
    group.add_argument(
        "--threads", type=int, metavar="N", help="default: all cores it may use"
    )
    add_quiet(group)


if __name__ == "__main__":
    sys.exit(program())
