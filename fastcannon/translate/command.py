"""The command ``fastcannon translate``: its arguments, then one call of the library."""

from dataclasses import fields

from ..errors import InputError
from ..extras import needing
from ..subcommands import add_command, add_quiet, progress, say, tell

EXAMPLES = {
    "train": """\
example:
  fastcannon translate train common.fits --inputs teff_a logg_a fe_h_a \\
      --outputs teff_b logg_b fe_h_b -o a_to_b.fits

The table has a row for each common star, with the columns of both surveys and their
errors (e_teff_a, ...). Output i starts from input i, unless --start names another.
""",
    "apply": """\
example:
  fastcannon translate apply a_to_b.fits survey_a.fits -o survey_a_on_b.fits

Each row gets, for each output, its value, its error (e_...) and the bounds of an
interval (..._low, ..._high), then translate_flag, translate_comment (why) and
translate_distance (to the training stars). The columns of the table stand before.
""",
    "explain": """\
example:
  fastcannon translate explain a_to_b.fits survey_a.fits

How much each input contributes to each output: mean absolute Shapley values.
""",
    "validate": """\
example:
  fastcannon translate validate a_to_b.fits others.fits

Translates stars that both surveys have, and that were not trained on, and compares:
bias, robust scatter beside that of simple maps, shares inside the intervals of 68 and
95 %, and the width of the pulls (difference / error), which should be 1. --figures
draws them before and after.
""",
}


def add_translate(parsers):
    """Add ``translate`` and its sub-commands to the commands of the program.

    Parameters
    ----------
    parsers : what ``add_subparsers`` returned
    """
    text = "from one survey's labels to another's, without spectra"
    parser = parsers.add_parser(
        "translate",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog="fastcannon translate COMMAND --help says more about a command.",
    )
    actions = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="action"
    )
    _add_train(add_command(actions, "train", _train, "train on common stars", EXAMPLES))
    _add_apply(add_command(actions, "apply", _apply, "translate a catalogue", EXAMPLES))
    explain = add_command(
        actions, "explain", _explain, "say which inputs matter", EXAMPLES
    )
    validate = add_command(
        actions, "validate", _validate, "compare with known values", EXAMPLES
    )
    for command, what in ((explain, "stars to explain"), (validate, "common stars")):
        _add_model(command)
        command.add_argument("table", metavar="TABLE", help=f"table of {what}")
        _add_columns(command)
        command.add_argument(
            "-o", "--output", metavar="FILE", help="file for the result, ECSV"
        )
    validate.add_argument(
        "--figures",
        metavar="FOLDER",
        help="draw residuals, Kiel diagrams, training and importance, as PNG and PDF",
    )
    for option, default, text in (
        ("--stars", 100, "explained, drawn from the table (default: %(default)s)"),
        ("--background", 50, "stars that stand for all (default: %(default)s)"),
    ):
        explain.add_argument(option, type=int, default=default, metavar="N", help=text)
    for command in actions.choices.values():
        add_quiet(command.add_argument_group("running"))


def _add_model(parser):
    parser.add_argument("model", metavar="MODEL", help="file of a translator")


def _add_columns(parser):
    parser.add_argument(
        "--columns",
        nargs="+",
        default=(),
        metavar="NAME=COLUMN",
        help="columns of the model that have another name in the table",
    )


def _add_train(parser):
    parser.add_argument("table", metavar="TABLE", help="table of common stars")
    for option, text in (
        ("--inputs", "columns of survey A"),
        ("--outputs", "columns of survey B"),
    ):
        parser.add_argument(
            option, nargs="+", required=True, metavar="COLUMN", help=text
        )
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="file for the model"
    )
    parser.add_argument(
        "--start",
        nargs="+",
        default=(),
        metavar="OUTPUT=INPUT",
        help="what outputs start from (default: output i from input i); "
        "OUTPUT= is for none",
    )
    errors = parser.add_mutually_exclusive_group()
    errors.add_argument(
        "--errors",
        nargs="+",
        default=(),
        metavar="COLUMN=ERROR",
        help="columns of errors (default: e_COLUMN where there is one)",
    )
    errors.add_argument("--no-errors", action="store_true", help="use none")
    parser.add_argument(
        "--star",
        metavar="COLUMN",
        help="names the star: its rows are held out together",
    )
    group = parser.add_argument_group("networks")
    for option, default, text in (
        ("--ensemble", 10, "networks (default: %(default)s)"),
        ("--seed", 0, "of all that is random (default: %(default)s)"),
    ):
        group.add_argument(option, type=int, default=default, metavar="N", help=text)
    group.add_argument(
        "--setting",
        nargs="+",
        default=(),
        metavar="NAME=VALUE",
        help="for example width=64 doublings=2 rates=1e-3,1e-4 redraw=true",
    )
    group.add_argument(
        "--original",
        action="store_true",
        help="begin with the settings of Thomas et al. 2024: larger and slower",
    )


def _add_apply(parser):
    _add_model(parser)
    parser.add_argument(
        "table", metavar="TABLE", help="FITS, Parquet or a folder of it, ECSV, CSV"
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="FITS file (.fits), or new folder for Parquet partitions (.parquet)",
    )
    parser.add_argument(
        "--level",
        type=float,
        default=0.68,
        metavar="P",
        help="of the intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        nargs="*",
        metavar="COLUMN",
        help="columns of the table to pass on; none after it: no column "
        "(default: all that have not the name of a result)",
    )
    _add_columns(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--workers", type=int, metavar="N", help="default: one for each core"
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster, which has the workers",
    )


def _train(arguments):
    from ..jobs import check_output
    from .lines import summary_lines
    from .tables import read_table
    from .translator import Translator

    check_output(arguments.output, arguments.table)
    errors = _pairs("--errors", arguments.errors)
    translator = Translator(
        arguments.inputs,
        arguments.outputs,
        ensemble=arguments.ensemble,
        seed=arguments.seed,
        start=_pairs("--start", arguments.start),
        errors=not arguments.no_errors
        and (_pairs("--errors", arguments.errors) or True),
        star=arguments.star,
        settings=_settings(arguments),
    )
    names = [*arguments.inputs, *arguments.outputs]
    also = [*(f"e_{name}" for name in names), *errors.values(), arguments.star]
    table = read_table(arguments.table, names, also)
    with progress(arguments, None, "epochs") as bar:
        translator.train(table, lambda done: bar.update(done - bar.n))
    translator.write(arguments.output)
    say("\n".join(summary_lines(translator, table)))
    trained = translator.trained
    tell(
        arguments,
        f"{arguments.output}: {arguments.ensemble} networks, trained on "
        f"{trained.n_stars:,} stars; {trained.n_incomplete:,} incomplete rows left out",
    )


def _apply(arguments):
    from ..scheduler import open_workers
    from .lines import flags_text
    from .stream import translate_file

    with open_workers(arguments.workers, arguments.scheduler) as run:
        done = translate_file(
            arguments.model,
            arguments.table,
            arguments.output,
            arguments.level,
            arguments.keep,
            _pairs("--columns", arguments.columns),
            run,
            lambda total: progress(arguments, total, "rows"),
        )
    if done.left_out:
        tell(arguments, f"not passed on: {', '.join(done.left_out)}")
    tell(
        arguments,
        f"{arguments.output}: {done.rows:,} rows; flagged: {flags_text(done.flags)}",
    )


def _explain(arguments):
    from .lines import importance_lines

    translator, table = _open(arguments)
    found = translator.importance(table, arguments.stars, arguments.background)
    _report(arguments, importance_lines(found), found, "mean absolute Shapley values")


def _validate(arguments):
    from .compare import compare
    from .lines import comparison_lines, flags_text

    write_pictures = _picture_writer() if arguments.figures else None
    translator, table = _open(arguments)
    found, flags = compare(translator, table)
    _report(arguments, comparison_lines(found), found, "comparison")
    say(f"flagged: {flags_text(flags)}")
    if write_pictures:
        for path in write_pictures(translator, table, arguments.figures):
            tell(arguments, str(path))


def _picture_writer():
    """Return what draws a validation."""
    with needing("plot"):
        from .pictures import write_pictures
    return write_pictures


def _open(arguments):
    """Return the translator and the columns of the table that it knows."""
    from ..jobs import check_output
    from .stream import check_columns, renamed
    from .tables import read_table
    from .translator import Translator

    if arguments.output:
        check_output(arguments.output, arguments.model, arguments.table)
    translator = Translator.read(arguments.model)
    columns = check_columns(translator.trained, _pairs("--columns", arguments.columns))
    sides = (translator.trained.inputs, translator.trained.outputs)
    names = [name for side in sides for name in (*side.names, *side.errors) if name]
    needed = {name: columns.get(name, name) for name in names}
    first = [needed[name] for name in sides[0].names]
    table = read_table(arguments.table, first, needed.values())
    there = {name: at for name, at in needed.items() if at in table.colnames}
    return translator, renamed(table, there)


def _report(arguments, lines, table, what):
    """Print a table, and write it as ECSV if asked to."""
    from ..textfiles import write_ecsv

    say("\n".join(lines))
    if arguments.output:
        write_ecsv(arguments.output, table)
        tell(arguments, f"{arguments.output}: {what}")


def _pairs(option, given):
    """Return texts NAME=VALUE as a dict; an empty value is None."""
    for text in given:
        if not text.partition("=")[1]:
            raise InputError(f"{option} {text}: NAME=VALUE is expected")
    parts = (text.partition("=") for text in given)
    return {name: value or None for name, _, value in parts}


def _settings(arguments):
    """Return the settings of the networks that the arguments ask for."""
    from dataclasses import replace

    from .settings import Settings

    settings = Settings.original() if arguments.original else Settings()
    known = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    changes = {}
    for name, text in _pairs("--setting", arguments.setting).items():
        if name not in known:
            raise InputError(
                f"--setting {name}: there is no such setting; expected one of "
                f"{', '.join(known)}"
            )
        changes[name] = _value(name, text or "", known[name])
    return replace(settings, **changes)


def _value(name, text, default):
    """Return a setting's text as a value of the type of its default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(map(float, text.split(",")))
        return type(default)(text)
    except (ValueError, KeyError):
        kind = {bool: "true or false", tuple: "numbers with commas between them"}
        expected = kind.get(type(default), f"a number such as {default}")
        raise InputError(f"--setting {name}={text}: {expected} is expected") from None
