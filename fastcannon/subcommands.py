"""How a sub-command of ``fastcannon`` is added and speaks, the same everywhere."""

import argparse
import os
import sys


def add_command(parsers, name, function, summary, examples):
    """Add a sub-command and return its parser.

    Parameters
    ----------
    parsers : what ``add_subparsers`` returned
    name : str
    function : callable
        Of the arguments; returns an exit code or None.
    summary : str
    examples : dict of str to str
        What stands below the options of each.
    """
    parser = parsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function)
    return parser


def add_quiet(group):
    """Add the option that silences `progress` and `tell` to a parser."""
    group.add_argument(
        "-q",
        "--quiet",
        "--no-progress",
        action="store_true",
        help="no progress bar, only results and errors",
    )


def say(text, stream=None):
    """Print lines at once; to a reader who has gone, nothing from then on.

    The work goes on: ``fastcannon run CONFIG | head`` is a whole run.

    Parameters
    ----------
    text : str
    stream : text file, optional
        Default: standard output.
    """
    stream = sys.stdout if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # What is left in its buffer must not be flushed into the pipe either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(arguments, text):
    """Print what was done, unless asked to be quiet."""
    if not arguments.quiet:
        say(text)


def progress(arguments, total, unit):
    """Return a progress bar on stderr, silent where stderr is a file."""
    from tqdm import tqdm  # here: --help need not wait for it

    disable = True if arguments.quiet else None
    return tqdm(total=total, unit=f" {unit}", unit_scale=True, disable=disable)
