"""The command ``fastcannon``: reads its arguments, then calls one function of `jobs`.

The library is imported by the sub-commands, so that ``--help`` need not wait.
"""

import argparse
import signal
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

from .errors import FastcannonError, InputError
from .subcommands import add_command, say
from .translate.command import add_translate

FAILED = 1  # exit code: a check of selftest failed
REFUSED = 3  # exit code: done, but inputs were refused

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


def _init(arguments):
    from .config import write_example

    write_example(arguments.config)
    _say(
        arguments,
        f"{arguments.config}: edit it, then: fastcannon run {arguments.config}",
    )


def _simulate(arguments):
    from .simulator import simulate

    with _progress(arguments, 2 * arguments.stars, "stars") as bar:
        counts = simulate(
            arguments.folder,
            arguments.stars,
            arguments.overlap,
            arguments.seed,
            arguments.processes,
            bar.update,
        )
    _say(
        arguments,
        f"{arguments.folder}: {counts['stars']:,} stars; APOGEE: "
        f"{counts['entries']:,} entries with {counts['visits']:,} visits; GALAH: "
        f"{counts['spectra']:,} spectra; {counts['files']:,} files of spectra",
    )


def _pack(arguments):
    from . import run
    from .config import read_config
    from .runfolder import RunFolder

    tell, bar = _reporters(arguments)
    config = read_config(arguments.config)
    with RunFolder(config).locked(claim=False):
        packings = run.pack_surveys(config, tell, bar, arguments.processes)
    refused = any(packing.refused for packing in packings.values())
    return REFUSED if refused else 0


def _match(arguments):
    from . import run
    from .config import read_config
    from .runfolder import RunFolder

    config = read_config(arguments.config)
    with RunFolder(config).locked(claim=False):
        run.report_match(config, say)


def _run(arguments):
    from . import run
    from .config import read_config
    from .status import status

    config = read_config(arguments.config)
    if arguments.status:
        say("\n".join(status(config)))
        return 0
    tell, bar = _reporters(arguments)
    summary = run.run_all(config, tell, bar, arguments.workers, arguments.scheduler)
    return REFUSED if any(summary["refused"].values()) else 0


def _report(arguments):
    from .report import write_report

    write_report(
        arguments.run,
        arguments.members,
        arguments.literature,
        arguments.isochrones,
        arguments.synthetic,
        lambda text: _say(arguments, text),
    )


def _reporters(arguments):
    """Return the functions that say a line and that make a progress bar."""
    return (
        lambda text: _say(arguments, text),
        lambda total, unit: _progress(arguments, total, unit),
    )


def _train(arguments):
    from . import jobs
    from .spectra import SpectraFile

    jobs.check_output(arguments.output, arguments.spectra)
    model = _new_model(arguments)
    with SpectraFile(arguments.spectra) as spectra:
        with _progress(arguments, spectra.n_pixels, "pixels") as bar:
            jobs.train(model, spectra, arguments.threads, bar.update)
        count = spectra.n_stars
    model.write(arguments.output)
    _say(
        arguments,
        f"{arguments.output}: model of {len(model.label_names)} labels, "
        f"{len(model.terms)} terms and {len(model.s2):,} pixels, trained on "
        f"{count:,} stars",
    )


def _validate(arguments):
    from . import jobs
    from .atomic import atomic_path
    from .spectra import SpectraFile

    for path in (arguments.output, arguments.figure):
        if path is not None:
            jobs.check_output(path, arguments.spectra)
    one_to_one = _figure_maker(arguments.figure) if arguments.figure else None
    model = _new_model(arguments)
    with SpectraFile(arguments.spectra) as spectra:
        with _progress(arguments, spectra.n_stars, "spectra") as bar:
            found = jobs.validate(
                model,
                spectra,
                arguments.folds,
                arguments.seed,
                arguments.threads,
                bar.update,
            )
        lines = jobs.summary_lines(found.label_names, found.difference)
        say("\n".join(lines))
        if arguments.output:
            jobs.write_validation(arguments.output, found, spectra)
            _say(arguments, f"{arguments.output}: given and inferred labels")
    if one_to_one:
        figure = one_to_one(found.labels, found.result.labels, found.label_names)
        with atomic_path(arguments.figure) as temporary:
            form = Path(arguments.figure).suffix.removeprefix(".") or None
            figure.savefig(temporary, format=form)
        _say(arguments, f"{arguments.figure}: figure")


def _infer(arguments):
    from . import jobs
    from .model import CannonModel
    from .spectra import SpectraFile

    jobs.check_output(arguments.output, arguments.model, arguments.spectra)
    model = CannonModel.read(arguments.model)
    with SpectraFile(arguments.spectra) as spectra:
        with _progress(arguments, spectra.n_stars, "spectra") as bar:
            flags = jobs.infer(
                model,
                spectra,
                arguments.output,
                arguments.starts,
                arguments.block,
                arguments.threads,
                bar.update,
            )
        count = spectra.n_stars
    _say(
        arguments,
        f"{arguments.output}: labels of {count:,} spectra; "
        f"flagged: {jobs.flags_text(flags)}",
    )


def _info(arguments):
    from .describe import describe

    facts = describe(arguments.file)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}")


def _selftest(arguments):
    from .selftest import selftest

    return FAILED if selftest(say) else 0


def _new_model(arguments):
    """Return the untrained model that the arguments ask for."""
    from .model import CannonModel

    return CannonModel(
        arguments.labels,
        degree=arguments.degree,
        terms=arguments.terms,
        l1=arguments.l1,
        scatter=arguments.scatter,
    )


def _figure_maker(path):
    """Return `plots.one_to_one` for a figure to be saved as ``path``."""
    try:
        from .plots import check_format, one_to_one
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise InputError(
            f"a figure needs matplotlib ({error}): install it, or fastcannon[plot], "
            "or leave out --figure"
        ) from error
    check_format(path)
    return one_to_one


def _progress(arguments, total, unit):
    """Return a progress bar on stderr, silent where stderr is a file."""
    from tqdm import tqdm

    disable = True if arguments.quiet else None
    return tqdm(total=total, unit=f" {unit}", unit_scale=True, disable=disable)


def _say(arguments, text):
    """Print what was done, unless asked to be quiet."""
    if not arguments.quiet:
        say(text)


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
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="name"
    )

    init = add_command(
        commands, "init", _init, "write an example of a configuration", EXAMPLES
    )
    init.add_argument("config", metavar="FILE", nargs="?", default="fastcannon.toml")

    simulate = add_command(
        commands, "simulate", _simulate, "write two simulated surveys to disk", EXAMPLES
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
    pack = add_command(commands, "pack", _pack, "pack the spectra of surveys", EXAMPLES)
    match = add_command(
        commands, "match", _match, "find the stars surveys have in common", EXAMPLES
    )
    run = add_command(
        commands, "run", _run, "do it all: from survey files to catalogues", EXAMPLES
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

    report = add_command(
        commands, "report", _report, "show a run: figures, tables, page", EXAMPLES
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

    train = add_command(
        commands, "train", _train, "train a model on stars with labels", EXAMPLES
    )
    _add_training_set(train)
    _add_output(train, "file for the model", required=True)
    _add_model(train)

    validate = add_command(
        commands,
        "validate",
        _validate,
        "test a model on the stars it is trained on",
        EXAMPLES,
    )
    _add_training_set(validate)
    _add_output(validate, "file for a table of given and inferred labels")
    validate.add_argument(
        "--figure", metavar="FILE", help="file for a figure (.png, .pdf)"
    )
    validate.add_argument(
        "--folds",
        type=int,
        default=12,
        metavar="N",
        help="parts of the stars, left out in turn (default: %(default)s)",
    )
    validate.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the random division into parts (default: %(default)s)",
    )
    _add_model(validate)

    infer = add_command(
        commands, "infer", _infer, "infer the labels of spectra", EXAMPLES
    )
    infer.add_argument("model", metavar="MODEL", help="model file")
    infer.add_argument("spectra", metavar="SPECTRA", help="spectra file, normalised")
    _add_output(infer, "file for the table of labels", required=True)
    infer.add_argument(
        "--starts",
        type=int,
        default=8,
        metavar="N",
        help="descents per spectrum; more find the best fit more surely "
        "(default: %(default)s)",
    )
    infer.add_argument(
        "--block",
        type=int,
        default=1024,
        metavar="N",
        help="spectra in memory at a time (default: %(default)s)",
    )

    add_translate(commands, _add_quiet)

    info = add_command(commands, "info", _info, "say what a file holds", EXAMPLES)
    info.add_argument(
        "file", metavar="FILE", help="model, spectra file or table of labels"
    )
    add_command(commands, "selftest", _selftest, "check this installation", EXAMPLES)
    for command in (train, validate, infer):
        _add_running(command)
    for command in (init, simulate, pack, match, run, report):
        _add_quiet(command.add_argument_group("running"))
    return parser


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
    _add_quiet(group)


def _add_quiet(group):
    group.add_argument(
        "-q",
        "--quiet",
        "--no-progress",
        action="store_true",
        help="no progress bar, only results and errors",
    )


if __name__ == "__main__":
    sys.exit(main())
