"""Tables of a TOML file whose keys are checked as they are asked for."""

import math
from pathlib import Path

from .cuts import suggest


class Section:
    """One table of a file; the keys that are asked for are those it may have.

    A value that cannot be used is noted, and its default returned, so that all
    problems of a file are found in one reading. A default of None makes a key
    optional.

    Parameters
    ----------
    content : dict
    key : str
        Dotted name of the table in the file; "" for the whole file.
    folder : Path
        Folder that relative paths start from.
    problems : list of str
        Appended to; the sections of a file share it.
    """

    def __init__(self, content, key, folder, problems):
        self.content, self.key = content, key
        self.folder, self.problems = folder, problems
        self._asked = []

    def note(self, name, text):
        """Note what is wrong with a key of this table."""
        self.problems.append(f"{self.name(name)}: {text}")

    def note_unknown(self, name, values, choices, allowed):
        """Note every value of a list that is none of the choices."""
        for value in values:
            if value not in choices:
                hint = suggest(value, choices)
                self.note(name, f"names {value!r}{hint}; {allowed}")

    def name(self, name):
        """Return the dotted name of a key of this table."""
        return f"{self.key}.{name}" if self.key else name

    def value(self, name, kinds, expected, default, test=lambda value: True):
        """Return a value of these types that passes the test, else the default."""
        self._asked.append(name)
        if name not in self.content:
            return default
        value = self.content[name]
        # TOML's true is no number, although Python's is.
        is_switch = isinstance(value, bool) and kinds not in (bool, object)
        right = isinstance(value, kinds) and not is_switch
        if right and test(value):
            return value
        self.note(name, f"is {_shown(value)}; expected {expected}")
        return default

    def section(self, name):
        """Return a table inside this one, empty where it is missing."""
        content = self.value(name, dict, f"a section [{self.name(name)}]", {})
        return type(self)(content, self.name(name), self.folder, self.problems)

    def table(self, name, default):
        """Return a table as it stands."""
        return self.value(name, dict, f"a section [{self.name(name)}]", default)

    def whole(self, name, default, least, multiple=1):
        """Return a whole number of at least ``least``, a multiple of ``multiple``."""
        expected = f"a whole number >= {least}"
        if multiple > 1:
            expected = f"a multiple of {multiple}, >= {least}"

        def test(value):
            return value >= least and value % multiple == 0

        return self.value(name, int, expected, default, test)

    def number(self, name, default, above=None, least=None, below=math.inf):
        """Return a finite number above or of at least a limit, and below another."""
        limit = f"> {above}" if least is None else f">= {least}"
        limit += "" if below == math.inf else f" and < {below}"

        def test(value):
            fits = value > above if least is None else value >= least
            return fits and value < below

        return self.value(name, (int, float), f"a number {limit}", default, test)

    def choice(self, name, choices, default):
        """Return one of some texts; None where there is none and no default."""
        allowed = ", ".join(f'"{choice}"' for choice in choices)
        value = self.value(name, str, f"one of {allowed}", default)
        if value is None and name not in self.content:
            self.note(name, f"is missing; expected one of {allowed}")
        elif value is not None and value not in choices:
            hint = suggest(value, choices)
            self.note(name, f"is {_shown(value)}{hint}; expected one of {allowed}")
            return default
        return value

    def texts(self, name, default, least=1):
        """Return a list of at least ``least`` different texts as a tuple."""

        def test(value):
            filled = all(
                isinstance(text, str) and text.strip() and "\0" not in text
                for text in value
            )
            return filled and least <= len(value) == len(set(value))

        value = self.value(
            name, list, 'a list of different texts, ["...", "..."]', None, test
        )
        return default if value is None else tuple(value)

    def path(self, name, required=False):
        """Return a path, made absolute; ~ is the home folder."""

        def test(text):
            return text.strip() != "" and "\0" not in text

        value = self.value(name, str, "a path", None, test)
        if value is None:
            if required and name not in self.content:
                self.note(name, "is missing; expected a path")
            return None
        try:
            return self.folder / Path(value).expanduser()
        except RuntimeError:  # ~ of nobody
            self.note(name, f"is {_shown(value)}; there is no such home folder")
            return None

    def close(self):
        """Note every key that was never asked for."""
        for name in self.content:
            if name not in self._asked:
                allowed = ", ".join(dict.fromkeys(self._asked))
                hint = suggest(name, self._asked)
                self.note(name, f"is not known{hint}; allowed here are {allowed}")


def _shown(value):
    """Return a value as it would stand in the file, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"a section with {', '.join(value) or 'no keys'}"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
