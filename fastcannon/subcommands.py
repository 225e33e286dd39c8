"""How a sub-command of ``fastcannon`` is added, the same everywhere."""

import argparse


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
