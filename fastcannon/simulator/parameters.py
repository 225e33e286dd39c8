"""The frozen numbers of the simulated surveys, from parameters.toml."""

import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@cache
def parameters():
    """Return the tables of parameters.toml as read-only mappings.

    Arrays are tuples. The file says of every number where it comes from.
    """
    text = files(__package__).joinpath("parameters.toml").read_text(encoding="ascii")
    return _frozen(tomllib.loads(text))


def _frozen(value):
    """Return tables as read-only mappings and lists as tuples, all the way down."""
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value
