"""The check of an installation: it passes, and it catches what is wrong."""

import json
from pathlib import Path

import numba
import numpy as np
import pytest

from fastcannon import extras, kernels
from fastcannon.cli import main
from fastcannon.extras import EXTRAS
from fastcannon.kernels import levenberg, weights
from fastcannon.selftest import inference, labels, machine, selftest, speed, training
from fastcannon.selftest.kernels import away, compare_kernels

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="kernels are not compiled"
)
CASES = training.CASES | inference.CASES
QUICK = {"inference": 1.5, "training": 9.0}


@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    """Speed is tried once, by `test_speed_is_measured`."""
    monkeypatch.setattr(speed, "measure", lambda: (1e-4, QUICK))


def lines_of(capsys, code):
    """Run the command, check its exit code, and return its lines."""
    assert main(["selftest"]) == code
    output = capsys.readouterr()
    assert output.err == ""
    return output.out.splitlines()


def test_it_passes_here(capsys):
    lines = lines_of(capsys, 0)
    passed = [line for line in lines if line.startswith("PASS")]
    assert len(passed) == len(CASES) + 3  # the cache, labels, threads
    assert lines[-1].startswith(f"{len(passed)} passed, 0 failed; warnings: ")
    text = "\n".join(lines)
    assert "inference: 1.50 U" in text and "training: 9.00 G" in text
    assert f"numpy {np.__version__}" in text
    for extra in EXTRAS:
        assert f"fastcannon[{extra}]" in text


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_kernel_is_caught_and_named(name, monkeypatch):
    module = getattr(kernels, name.split(".")[0])
    right = getattr(module, name.split(".")[1])

    def wrong(*arguments):
        """Every number that the kernel may write is off by a hundredth."""
        value = right(*arguments)
        for array in arguments:
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                array *= 1.01
        return value

    monkeypatch.setattr(module, right.__name__, wrong)
    part = training if name in training.CASES else inference
    run, allowed = part.CASES[name]
    assert max(away(*pair) for pair in run(part.make())) > allowed


def test_a_wrong_kernel_fails_the_command(capsys, monkeypatch):
    def wrong(flux, ivar, s2, theta0, w, wr, constant, used):
        right(flux, ivar, s2, theta0, w, wr, constant, used)
        w[0, 0] *= 1.0001

    right = weights.weigh_spectra
    monkeypatch.setattr(weights, "weigh_spectra", wrong)
    monkeypatch.setattr(levenberg, "descend_spectra", lambda *_: 1 / 0)
    failed = [line for line in lines_of(capsys, 1) if line.startswith("FAIL")]
    assert len(failed) == 2
    assert failed[0].startswith("FAIL  kernel weights.weigh_spectra: ")
    assert failed[1].startswith("FAIL  kernel levenberg.descend_spectra: inf")


def test_wrong_errors_of_labels_are_caught(monkeypatch):
    right = labels.simulate

    def overconfident():
        given, flux, ivar = right()
        noise = np.random.default_rng(9).normal(0, 5 / labels.SNR, flux.shape)
        flux[labels.TRAINING :] += noise[labels.TRAINING :].astype(np.float32)
        return given, flux, ivar

    monkeypatch.setattr(labels, "simulate", overconfident)
    [(kind, text)] = labels.recover()
    assert kind == "FAIL" and "width" in text


def test_threads_that_disagree_are_caught(monkeypatch):
    class Twitchy(labels.CannonModel):
        def infer(self, flux, ivar, threads=None):
            found = super().infer(flux, ivar, threads=threads)
            found.labels[0, 0] += 1e-9 * threads
            return found

    [(kind, _)] = labels.threads_agree()
    assert kind == "PASS"
    monkeypatch.setattr(labels, "CannonModel", Twitchy)
    [(kind, text)] = labels.threads_agree()
    assert kind == "FAIL" and "differ" in text


def test_a_part_that_raises_has_failed(monkeypatch):
    monkeypatch.setattr(speed, "measure", lambda: 1 / 0)
    lines = []
    assert selftest(lines.append) == 1
    assert "FAIL  speed: ZeroDivisionError: division by zero" in lines


def test_settings_that_are_slow_are_told(monkeypatch):
    pool = {"user_api": "blas", "internal_api": "openblas", "version": "1"}
    pool |= {"num_threads": 64}
    monkeypatch.setattr(machine, "threadpool_info", lambda: [pool])
    monkeypatch.setattr(machine, "thread_count", lambda: 2)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    warned = [text for kind, text in machine.threads() if kind == "warn"]
    assert len(warned) == 2
    assert warned[0].startswith("BLAS has 64 threads for 2 cores: set OMP_NUM_THREADS")
    assert warned[1].startswith("NUMBA_BOUNDSCHECK is 1")
    monkeypatch.setattr(machine, "threadpool_info", list)
    warned = [text for kind, text in machine.threads() if kind == "warn"]
    assert warned[0].startswith("threadpoolctl does not know NumPy's BLAS")


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")

    class Function:
        class stats:
            cache_path = str(tmp_path / "file" / "cache")

    monkeypatch.setattr(machine.cholesky, "factor", Function)
    [(kind, text)] = machine.kernel_cache()
    assert kind == "warn" and "NUMBA_CACHE_DIR" in text and "cannot be kept" in text
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    [(kind, text)] = machine.kernel_cache()
    assert kind == "warn" and "nothing is compiled" in text


def test_a_missing_package_names_its_extra(monkeypatch):
    given = extras.find_spec
    for extra, (modules, purpose) in EXTRAS.items():
        for name in modules:
            monkeypatch.setattr(
                extras,
                "find_spec",
                lambda module, name=name: None if module == name else given(module),
            )
            [line] = [text for _, text in machine.extras() if text.startswith(purpose)]
            assert name in line and line.endswith(f"install fastcannon[{extra}]")


def test_speed_is_measured(monkeypatch):
    monkeypatch.undo()
    unit, ratios = speed.measure(threads=1, rounds=1)
    # measured here: 200 us on one thread, 1.4 U and 8 G; other work may slow all of it
    assert 1e-6 < unit < 1e-1
    assert 0.1 < ratios["inference"] < 100 and 0.5 < ratios["training"] < 500


def test_slow_machines_are_told(monkeypatch):
    monkeypatch.setattr(
        speed, "measure", lambda: (1.0, {"inference": 9, "training": 9})
    )
    monkeypatch.setattr(speed.os, "getloadavg", lambda: (500.0, 0, 0))
    kinds = [kind for kind, _ in speed.speed()]
    assert kinds == ["warn", "warn", "note", "warn"]


def test_the_numbers_to_compare_with_are_those_of_the_benchmarks():
    folder = Path(speed.__file__).parents[1] / "data"
    kept = json.loads((folder / speed.BASELINE).read_text(encoding="utf-8"))
    assert set(kept) == {"machine", "unit", "units", "ratios"}
    assert set(kept["ratios"]) == set(kept["units"]) == set(QUICK)
    assert 1e-6 < kept["unit"] < 1e-2


def test_differences_count_what_is_no_number():
    assert away([1.0, 2.0], [1.0, 2.0]) == 0
    assert away([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1)
    assert away([0.0, 1e-9], [0.0, 0.0]) == 1e-9
    assert away([1.0], [1.0, 2.0]) == np.inf
    assert away([np.nan, 1], [1, 1]) == np.inf == away([1, 1], [np.nan, 1])
    assert away([np.nan, 1], [np.inf, 1]) == 0
    assert all(difference <= allowed for _, difference, allowed in compare_kernels())
