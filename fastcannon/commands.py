"""What the sub-commands of ``fastcannon`` do with their arguments.

The library is imported by each, so that ``--help`` need not wait.
"""

from pathlib import Path

from .extras import needing
from .subcommands import progress, say, tell

FAILED = 1  # exit code: a check of selftest failed
REFUSED = 3  # exit code: done, but inputs were refused


def init(arguments):
    """Write an example of a configuration."""
    from .config import write_example

    write_example(arguments.config)
    tell(
        arguments,
        f"{arguments.config}: edit it, then: fastcannon run {arguments.config}",
    )


def simulate(arguments):
    """Write two simulated surveys."""
    from .simulator import simulate

    with progress(arguments, 2 * arguments.stars, "stars") as bar:
        counts = simulate(
            arguments.folder,
            arguments.stars,
            arguments.overlap,
            arguments.seed,
            arguments.processes,
            bar.update,
        )
    tell(
        arguments,
        f"{arguments.folder}: {counts['stars']:,} stars; APOGEE: "
        f"{counts['entries']:,} entries with {counts['visits']:,} visits; GALAH: "
        f"{counts['spectra']:,} spectra; {counts['files']:,} files of spectra",
    )


def pack(arguments):
    """Pack the spectra of surveys."""
    from .config import read_config
    from .run import pack_surveys
    from .runfolder import RunFolder

    config = read_config(arguments.config)
    with RunFolder(config).locked(claim=False):
        packings = pack_surveys(config, *_reporters(arguments), arguments.processes)
    refused = any(packing.refused for packing in packings.values())
    return REFUSED if refused else 0


def match(arguments):
    """Say which stars surveys have in common."""
    from .config import read_config
    from .runfolder import RunFolder
    from .trainingset import report_match

    config = read_config(arguments.config)
    with RunFolder(config).locked(claim=False):
        report_match(config, say)


def run(arguments):
    """Do a whole run, or say where it stands."""
    from .config import read_config
    from .run import run_all
    from .status import status

    config = read_config(arguments.config)
    if arguments.status:
        say("\n".join(status(config)))
        return 0
    summary = run_all(
        config, *_reporters(arguments), arguments.workers, arguments.scheduler
    )
    return REFUSED if any(summary["refused"].values()) else 0


def report(arguments):
    """Show a run."""
    from .report import write_report

    write_report(
        arguments.run,
        arguments.members,
        arguments.literature,
        arguments.isochrones,
        arguments.synthetic,
        lambda text: tell(arguments, text),
    )


def _reporters(arguments):
    """Return the functions that say a line and that make a progress bar."""
    return (
        lambda text: tell(arguments, text),
        lambda total, unit: progress(arguments, total, unit),
    )


def train(arguments):
    """Train a model."""
    from . import jobs
    from .spectra import SpectraFile

    jobs.check_output(arguments.output, arguments.spectra)
    model = _new_model(arguments)
    with SpectraFile(arguments.spectra) as spectra:
        with progress(arguments, spectra.n_pixels, "pixels") as bar:
            jobs.train(model, spectra, arguments.threads, bar.update)
        count = spectra.n_stars
    model.write(arguments.output)
    tell(
        arguments,
        f"{arguments.output}: model of {len(model.label_names)} labels, "
        f"{len(model.terms)} terms and {len(model.s2):,} pixels, trained on "
        f"{count:,} stars",
    )


def validate(arguments):
    """Cross-validate a model."""
    from . import jobs
    from .atomic import atomic_path
    from .spectra import SpectraFile

    for path in (arguments.output, arguments.figure):
        if path is not None:
            jobs.check_output(path, arguments.spectra)
    one_to_one = _figure_maker(arguments.figure) if arguments.figure else None
    model = _new_model(arguments)
    with SpectraFile(arguments.spectra) as spectra:
        with progress(arguments, spectra.n_stars, "spectra") as bar:
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
            tell(arguments, f"{arguments.output}: given and inferred labels")
    if one_to_one:
        figure = one_to_one(found.labels, found.result.labels, found.label_names)
        with atomic_path(arguments.figure) as temporary:
            form = Path(arguments.figure).suffix.removeprefix(".") or None
            figure.savefig(temporary, format=form)
        tell(arguments, f"{arguments.figure}: figure")


def infer(arguments):
    """Infer labels of spectra."""
    from . import jobs
    from .model import CannonModel
    from .spectra import SpectraFile

    jobs.check_output(arguments.output, arguments.model, arguments.spectra)
    model = CannonModel.read(arguments.model)
    with SpectraFile(arguments.spectra) as spectra:
        with progress(arguments, spectra.n_stars, "spectra") as bar:
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
    tell(
        arguments,
        f"{arguments.output}: labels of {count:,} spectra; "
        f"flagged: {jobs.flags_text(flags)}",
    )


def info(arguments):
    """Say what a file holds."""
    from .describe import describe

    facts = describe(arguments.file)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}")


def selftest(arguments):
    """Check this installation."""
    from . import selftest as checks

    return FAILED if checks.selftest(say) else 0


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
    with needing("plot"):
        from .plots import check_format, one_to_one
    check_format(path)
    return one_to_one
