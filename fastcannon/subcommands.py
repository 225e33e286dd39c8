"""How a sub-command of ``fastcannon`` is added and speaks, the same everywhere."""

import argparse
import os
import sys


def add_command(commands, name, function, summary, examples):
    """Add a sub-command and return its parser.

    Parameters
    ----------
    commands : what ``add_subparsers`` returned
    name : str
    function : callable
        Of the arguments; returns an exit code or None.
    summary : str
    examples : dict of str to str
        What stands below the options of each.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function)
    return parser


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
