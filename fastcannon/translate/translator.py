"""The translator: train on common stars, apply to a catalogue, explain, keep."""

import numpy as np
from astropy.table import Table

from ..checks import check_names
from ..errors import InputError, check_whole
from ..parallel import single_threaded_blas
from .apply import apply_trained, map_values, standardised
from .columns import check_units, read_columns
from .fitting import fit
from .intervals import half_width
from .modelfile import read_translator, write_translator
from .settings import Settings
from .shapley import shapley_values


class Translator:
    """Learns from common stars how one survey's labels become another's (Thomas+2024).

    An ensemble of residual networks learns the correction from each input to the output
    that starts from it; identity, linear and quadratic maps are fitted beside it, and
    each output is the blend that is best on held-out stars.

    Parameters
    ----------
    inputs : sequence of str
        Columns of survey A.
    outputs : sequence of str
        Columns of survey B.
    ensemble : int
        Number of networks, trained in one vectorised program.
    seed : int
        The same seed gives the same model on the same machine.
    start : dict of str to (str or None), optional
        The input that an output starts from. Default: output i starts from input i
        where there is one. For a line-of-sight velocity (the extrinsic network):
        ``Translator(("teff", "logg", "rv_a"), ("rv_b",), start={"rv_b": "rv_a"})``.
    errors : dict of str to str, True or False
        Columns of the errors of inputs and outputs; one not named, and all with True,
        are ``e_<column>`` where the training table has it. False: none are used.
    star : str, optional
        Column that names the star: rows of one star are held out together.
    settings : Settings, optional

    Attributes
    ----------
    trained : trained.Trained or None
    held_out : astropy Table or None
        After `train`, not in the file: ``row`` of the table that was trained on, and
        each output by networks that have not seen the star, NaN where all have.
    """

    def __init__(
        self,
        inputs,
        outputs,
        ensemble=10,
        seed=0,
        start=None,
        errors=True,
        star=None,
        settings=None,
    ):
        self.inputs, self.outputs = check_names(inputs), check_names(outputs)
        both = set(self.inputs) & set(self.outputs)
        if both:
            raise InputError(
                f"{', '.join(sorted(both))} is an input and an output; give the other "
                "survey's column another name"
            )
        self.ensemble = check_whole(ensemble, "ensemble")
        self.seed = check_whole(seed, "seed", 0)
        self.starts = self._starts(start or {})
        known = {*self.inputs, *self.outputs}
        if not isinstance(errors, bool | dict) or _names(errors) - known:
            raise InputError(
                f"errors is {errors!r}; expected True, False, or a dict of inputs and "
                "outputs to the columns of their errors"
            )
        self.errors = errors
        self.star = star
        self.settings = settings or Settings()
        self.trained = None
        self.held_out = None

    def train(self, table, progress=None):
        """Learn from stars that both surveys have.

        Parameters
        ----------
        table : astropy Table
            Columns of both surveys, a row per star (or per pair of observations, with
            ``star``); missing values as of `columns.read_columns`; rows that lack one
            are left out and counted.
        progress : callable, optional
            Called with the number of epochs done.

        Returns
        -------
        Translator
            Itself.

        Raises
        ------
        InputError
            Columns are missing, empty, constant or in a wrong unit; fewer than 200 rows
            are complete; or JAX is not installed.
        """
        with single_threaded_blas():  # the number of threads changes the last digits
            self.trained, self.held_out = fit(self, table, progress)
        return self

    def apply(self, table, level=0.68, threads=None):
        """Translate a catalogue; JAX is not needed.

        Parameters
        ----------
        table : astropy Table
            S rows with the input columns, and their errors where trained with them.
            Missing inputs become the mean of the training sample, and are flagged.
        level : float
            Of the prediction intervals.
        threads : int, optional
            Default: every core this process may use.

        Returns
        -------
        astropy Table
            S rows: each output, ``e_<output>`` (error of the true value: networks,
            errors of the inputs, scatter of held-out stars), ``<output>_low`` and
            ``<output>_high`` (of a value that survey B would measure), in label units;
            ``translate_flag`` (bits of `quality.FLAGS`), ``translate_comment`` (why, in
            words) and ``translate_distance`` (mean squared distance to the nearest 10
            training stars, standardised).

        Raises
        ------
        InputError
        """
        trained = self._check_trained()
        check_units(read_columns(table, self.inputs), self.inputs)
        return apply_trained(trained, table, level, threads)

    def importance(self, table, stars=100, background=50):
        """Return what each input contributes to each output: exact Shapley values.

        Parameters
        ----------
        table : astropy Table
            Stars to explain; of those with all inputs ``stars`` are drawn.
        stars, background : int
            Stars explained, and stars of the table that stand for the sample.

        Returns
        -------
        astropy Table
            A row per input: ``input``, and for each output the mean absolute Shapley
            value ``<output>`` (label units) and its share ``<output>_percent``.

        Raises
        ------
        InputError
        """
        trained = self._check_trained()
        values = read_columns(table, self.inputs)
        x = standardised(trained.inputs, values[np.isfinite(values).all(axis=1)])
        if len(x) < 2:
            raise InputError(
                f"{len(x)} of {len(values)} rows have all inputs; give two or more"
            )
        rng = np.random.default_rng(self.seed)
        chosen, others = (
            x[rng.permutation(len(x))[: check_whole(count, name)]]
            for count, name in ((stars, "stars"), (background, "background"))
        )
        shares = shapley_values(
            lambda part: map_values(trained.map, part), chosen, others
        )
        size = abs(shares).mean(axis=0)
        found = Table()
        found["input"] = list(self.inputs)
        for k, (name, unit) in enumerate(
            zip(self.outputs, trained.outputs.units, strict=True)
        ):
            found[name] = size[:, k] * trained.outputs.scale[k]
            found[name].unit = unit or None
            found[f"{name}_percent"] = 100 * size[:, k] / max(size[:, k].sum(), 1e-300)
        return found

    def summary(self, level=0.95):
        """Return how well each map does on held-out stars: a row per output.

        Parameters
        ----------
        level : float
            Of ``half_width``.

        Returns
        -------
        astropy Table
            ``output``, ``unit``; robust scatter of ``identity``, ``linear``,
            ``quadratic``, ``networks`` and ``blend``, and ``bias`` (median) of the
            blend, label units; ``share`` of the networks in it; ``floor`` of the error
            and ``half_width`` of the interval in units of the error.
        """
        trained = self._check_trained()
        table = trained.summary.copy()
        table["half_width"] = half_width(trained.scores, level)
        return table

    def write(self, path):
        """Write the translator to a FITS file, atomically and with checksums.

        Parameters
        ----------
        path : str or Path
        """
        self._check_trained()
        write_translator(self, path)

    @classmethod
    def read(cls, path):
        """Read a translator written by `write`.

        Raises
        ------
        FileFormatError
            The file is cut short, damaged, of another version or not a translator.
        """
        return read_translator(cls, path)

    def error_column(self, name, table):
        """Return the column of a column's errors in a table, "" where there is none."""
        if self.errors is False:
            return ""
        if name in _names(self.errors):
            return self.errors[name]
        return f"e_{name}" if f"e_{name}" in table.colnames else ""

    def _starts(self, start):
        """Return the input that each output starts from, -1 for none."""
        unknown = set(start) - set(self.outputs)
        unknown |= {name for name in start.values() if name} - set(self.inputs)
        if unknown:
            raise InputError(
                f"start names {', '.join(sorted(unknown))}; it maps outputs "
                f"({', '.join(self.outputs)}) to inputs ({', '.join(self.inputs)})"
            )
        by_order = dict(zip(self.outputs, self.inputs, strict=False))
        first = [start.get(name, by_order.get(name)) for name in self.outputs]
        return tuple(self.inputs.index(name) if name else -1 for name in first)

    def _check_trained(self):
        if self.trained is None:
            raise InputError("this translator is not trained; call train or read")
        return self.trained


def _names(errors):
    """Return the columns whose errors are named."""
    return set(errors) if isinstance(errors, dict) else set()
