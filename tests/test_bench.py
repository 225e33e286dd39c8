"""The benchmarks: what is slower is told, what only seems so is not; their pages."""

import importlib
import json
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest

from fastcannon import kernels


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """The benchmarks stand in the repository, and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


@pytest.fixture
def compare():
    return importlib.import_module("bench.compare")


OLD = {"gate.clean_rows": 0.03, "folds.weigh": 1.3, "inference, K = 6": 1.4}


class Machine:
    """Ratios that are those of before, times factors that follow one another.

    Attributes
    ----------
    asked : list of list of str
        What was measured.
    """

    def __init__(self, **factors):
        self._factors = {name: list(values) for name, values in factors.items()}
        self.asked = []

    def measure(self, names):
        self.asked.append(names)
        found = {}
        for name in names:
            factors = self._factors.get(name.partition(".")[0], [1.0])
            found[name] = OLD[name] * (
                factors.pop(0) if len(factors) > 1 else factors[0]
            )
        return found


def settled(compare, **factors):
    machine = Machine(**factors)
    new, counts = compare.settle(machine.measure, OLD, compare.FACTOR)
    return compare.slower(new, OLD, compare.FACTOR), counts, machine.asked


def test_what_is_as_fast_is_measured_once(compare):
    slow, counts, asked = settled(compare, gate=[1.14], folds=[0.5])
    assert slow == [] and set(counts.values()) == {1} and len(asked) == 1


@pytest.mark.parametrize("factor, is_slow", [(1.14, False), (1.16, True), (9, True)])
def test_the_gate_is_at_fifteen_per_cent(compare, factor, is_slow):
    slow, counts, asked = settled(compare, folds=[factor])
    assert slow == (["folds.weigh"] if is_slow else [])
    assert counts["folds.weigh"] == (compare.TRIES if is_slow else 1)
    assert asked[1:] == [["folds.weigh"]] * (counts["folds.weigh"] - 1)


def test_one_bad_moment_is_no_alarm(compare):
    slow, counts, _ = settled(compare, gate=[5.0, 1.0, 1.0], folds=[1.2, 1.0])
    assert slow == []
    assert counts == {"gate.clean_rows": 3, "folds.weigh": 2, "inference, K = 6": 1}


def test_one_good_moment_hides_nothing(compare):
    slow, counts, _ = settled(compare, gate=[1.4, 1.4, 0.8, 1.4, 1.4])
    assert slow == ["gate.clean_rows"] and counts["gate.clean_rows"] == compare.TRIES


def test_false_alarms_and_misses_at_the_noise_of_a_busy_machine(compare):
    rng = np.random.default_rng(0)
    noise = np.exp(rng.normal(0, 0.08, (2, 300, compare.TRIES)))  # 8 % a measurement
    alarms = sum(bool(settled(compare, folds=one)[0]) for one in noise[0])
    caught = sum(bool(settled(compare, folds=1.4 * one)[0]) for one in noise[1])
    assert alarms == 0 and caught >= 295  # of 300: measured 0 and 300


def test_the_table_says_what_is_slower(compare):
    new = {"gate.clean_rows": 0.06, "folds.weigh": 1.3}
    counts = {"gate.clean_rows": 5, "folds.weigh": 1}
    head, first, second = compare.report(new, OLD, counts, 1.15)
    assert "new/old" in head
    assert "2.00" in first and first.endswith("measured 5 times  SLOWER")
    assert second.endswith("1.00")


@pytest.fixture
def command(compare, monkeypatch, tmp_path):
    """The command with a made-up machine and baseline; returns a function to run it."""
    measure = importlib.import_module("bench.measure")
    results = importlib.import_module("bench.results")
    path = tmp_path / "baseline.json"
    monkeypatch.setattr(compare, "BASELINE", path)
    monkeypatch.setattr(measure, "CASES", dict.fromkeys(list(OLD)[:2]))
    monkeypatch.setattr(measure, "WHOLE", dict.fromkeys(list(OLD)[2:]))

    def run(*arguments, processor="fast", **factors):
        monkeypatch.setattr(results, "processor", lambda: processor)
        monkeypatch.setattr(measure, "Bench", lambda: Machine(**factors))
        return compare.main(arguments)

    return run


def test_the_command_ends_with_its_verdict(command, compare, capsys):
    assert command("--update") == 0
    record = json.loads(compare.BASELINE.read_text())
    rounds = {name: [ratio] * compare.TRIES for name, ratio in OLD.items()}
    assert record["fast"]["ratios"] == rounds
    assert set(record["fast"]["versions"]) == {"python", *compare.PACKAGES}
    assert command() == 0
    assert "0 of 3 slower by more than 1.15, on fast" in capsys.readouterr().out
    assert command(gate=[1.3]) == 1
    assert "1 of 3 slower" in capsys.readouterr().out
    assert command("folds", gate=[1.3]) == 0  # only those that were named
    assert "0 of 1 slower" in capsys.readouterr().out
    assert command(gate=[1.3], processor="other") == 0
    assert "than 1.5, on other\nthe baseline is of fast" in capsys.readouterr().out


def test_every_processor_has_a_baseline_of_its_own(command, compare, capsys):
    assert command("--update") == 0
    assert command("--update", processor="slow", gate=[2.0]) == 0
    known = compare.read_baseline(compare.BASELINE)
    assert list(known) == ["fast", "slow"]
    assert known["slow"]["gate.clean_rows"] == [2 * OLD["gate.clean_rows"]] * 5
    for processor, limit in (("fast", 1.15), ("slow", 2.3), ("unknown", 3.0)):
        assert command(processor=processor, gate=[limit * 0.99]) == 0
        assert command(processor=processor, gate=[limit * 1.01]) == 1
        assert ("is of fast, slow" in capsys.readouterr().out) == (processor[0] == "u")


def test_a_baseline_of_other_cases_is_refused(command, compare):
    for text in (None, "{", '{"ratios": {}}', "{}"):
        if text is not None:
            compare.BASELINE.write_text(text)
        with pytest.raises(SystemExit, match="is no baseline"):
            command()
    with pytest.raises(SystemExit, match="is no baseline"):
        command("--update")
    compare.BASELINE.unlink()
    compare.write_baseline(compare.BASELINE, "fast", [{"gate.clean_rows": 1.0}])
    with pytest.raises(
        SystemExit, match=r"differ in \['folds.weigh', 'infer.*--update"
    ):
        command()


def test_every_public_kernel_is_measured_and_in_the_baseline(compare):
    public = set()
    for file in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{file.name}")
        for name, value in vars(module).items():
            here = getattr(value, "__module__", None) == module.__name__
            if here and hasattr(value, "py_func") and not name.startswith("_"):
                public.add(f"{file.name}.{name}")
    measure = importlib.import_module("bench.measure")
    assert public == set(measure.CASES)
    known = compare.read_baseline(compare.BASELINE).values()
    assert set.union(*map(set, known)) == public | set(measure.WHOLE)
    assert all(min(found) > 0 for ratios in known for found in ratios.values())


def test_the_quickest_rounds_of_step_and_product_count(monkeypatch):
    """A neighbour on the core, in all rounds but one, changes nothing."""
    measure = importlib.import_module("bench.measure")
    quiet = {"step": 6.0, "product": 3.0}
    rounds = iter((1.4, 1.3, 1.0, 1.5))
    bench = measure.Bench()
    case = measure.Ready(None, 2, 1, 1)
    monkeypatch.setattr(bench, "made", lambda name: case)
    now = [1.0]

    def unit(threads):
        now[0] = next(rounds)
        return quiet["product"] * now[0] ** 0.2  # slowed less than the step

    monkeypatch.setattr(bench, "_unit", unit)
    monkeypatch.setattr(bench, "_turn", lambda one: quiet["step"] * now[0])
    assert bench.measure(["step"], rounds=4) == {"step": 6.0 / 2 / 3.0}


def test_the_page_shows_the_scatter_of_the_baseline(compare):
    ratios = importlib.import_module("bench.ratios")
    page = importlib.import_module("bench.reliability")
    known = ratios.scatter_of(compare.read_baseline(compare.BASELINE))
    assert known and page.read_part("ratios") == ratios.ratios_text(known)
    assert page.picture("ratios").stat().st_size


def test_scatter_is_told_and_drawn():
    ratios = importlib.import_module("bench.ratios")
    found = {
        "one": {"a": [1.0, 1.0, 1.0], "b": [2.0, 2.6, 2.0]},
        "two": {"a": [1.0], "b": [1.0]},
    }
    known = ratios.scatter_of(found)
    assert list(known) == ["one"]
    assert "| one | 2 | 3 | 3.0 % | 1 of 6 | 0 of 2 |" in ratios.ratios_text(known)
    assert ratios.alarms(np.array([[1.0, 1.2, 1.2], [1.0, 1.2, 1.0]])) == 1
    axes = ratios.ratios_figure(known).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    slower = axes.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(sorted(slower), [0] * 5 + [30])


def test_instructions_of_all_kernels_are_known():
    measure = importlib.import_module("bench.measure")
    found = importlib.import_module("bench.instructions").read_counts()
    assert set(found["instructions"]) == set(measure.CASES)
    assert min(found["instructions"].values()) > 0 and found["spread"] < 0.01


def test_instructions_are_read_from_the_second_file_of_a_kernel(tmp_path, monkeypatch):
    instructions = importlib.import_module("bench.instructions")
    for number in range(1, 25):
        path = tmp_path / f"counts.{number}"
        path.write_text(f"desc: x\ntotals: {1000 * number}\n")
    names = [str(n) for n in range(12)]
    monkeypatch.setattr(instructions, "cases", lambda: dict.fromkeys(names, (10, None)))
    found = instructions.totals(tmp_path / "counts", names)
    assert found == {name: 200.0 * (int(name) + 1) for name in names}
    with pytest.raises(SystemExit, match="24 files of counts for 11 kernels"):
        instructions.totals(tmp_path / "counts", names[1:])
    (tmp_path / "counts.4").write_text("totals: 0\n")
    with pytest.raises(SystemExit, match="no instruction of 1 was counted"):
        instructions.totals(tmp_path / "counts", names)


def test_more_instructions_are_told(monkeypatch, capsys):
    instructions = importlib.import_module("bench.instructions")
    before = {"a.b": 100.0, "c.d": 100.0}
    kept = {"versions": instructions.versions(), "instructions": before}
    monkeypatch.setattr(instructions, "read_counts", lambda: kept)
    for count, ends in ((101.9, 0), (102.1, 1)):
        found = before | {"c.d": count}
        monkeypatch.setattr(instructions, "count", lambda found=found: found)
        assert instructions.main([]) == ends
    assert "c.d: 102.1 instructions, +2.1%" in capsys.readouterr().out
    kept["versions"] = {"numba": "0.1"}
    with pytest.raises(SystemExit, match=r"0\.1.*--update"):
        instructions.main([])


def test_the_page_shows_the_first_hour():
    hour = importlib.import_module("bench.first_hour")
    page = importlib.import_module("bench.reliability")
    steps = hour.read_results()["steps"]
    assert {"clone", "demo"} <= set(steps) <= set(hour.STEPS)
    assert not any(row["exit"] for row in steps.values())
    assert page.read_part("hour") == hour.hour_text()
    assert page.picture("hour").stat().st_size


def test_results_of_the_first_hour_are_of_one_machine_and_on_the_page_at_once(
    monkeypatch, tmp_path
):
    hour = importlib.import_module("bench.first_hour")
    parts = {}
    monkeypatch.setattr(hour, "RESULTS", tmp_path / "hour.json")
    monkeypatch.setattr(hour, "put_part", parts.__setitem__)
    monkeypatch.setattr(hour, "save", lambda figure, name: None)
    row = {"minutes": 2.0, "exit": 0, "said": "all"}
    hour.RESULTS.write_text(json.dumps({"machine": "other", "steps": {"demo": row}}))
    hour.keep("clone", row)
    assert list(hour.read_results()["steps"]) == ["clone"]
    hour.keep("demo", row | {"exit": 1})
    assert list(hour.read_results()["steps"]) == ["clone", "demo"]
    assert "**exit code 1** all" in parts["hour"]


@pytest.mark.parametrize(
    "arguments, steps",
    [
        (["docs"], ["clone", "docs"]),
        (["--python", "python9"], None),
        ([], None),
        (["clone"], "unknown step clone"),
        (["python"], "needs --python"),
    ],
)
def test_which_steps_of_the_first_hour_are_done(monkeypatch, capsys, arguments, steps):
    hour = importlib.import_module("bench.first_hour")
    done = []
    monkeypatch.setattr(hour, "keep", lambda step, row: done.append(step))
    monkeypatch.setattr(hour.Bare, "do", lambda *_: {"exit": 0})
    monkeypatch.setattr(sys, "argv", ["first_hour", *arguments])
    if isinstance(steps, str):
        with pytest.raises(SystemExit):
            hour.main()
        assert steps in capsys.readouterr().err
        return
    assert hour.main() == 0
    assert done == (steps or [s for s in hour.STEPS if arguments or s != "python"])
    done.clear()
    monkeypatch.setattr(hour.Bare, "do", lambda *_: {"exit": 128})
    assert hour.main() == 1 and done == ["clone"]  # and nothing in a clone that is not


def test_steps_of_the_first_hour(monkeypatch, tmp_path, capsys):
    hour = importlib.import_module("bench.first_hour")
    monkeypatch.setenv("VIRTUAL_ENV", "other")
    monkeypatch.setenv("MAKEFLAGS", "PYTHON=other")
    bare = hour.Bare(tmp_path)
    asked = (
        "import os; print('HOME', os.listdir(os.environ['HOME']),"
        " os.environ.get('VIRTUAL_ENV'), os.environ.get('MAKEFLAGS'),"
        " '\\n== 3 passed, 1 skipped in 7.5s ==');"
        " raise SystemExit(2)"
    )
    monkeypatch.setattr(bare, "_command", lambda *a: [sys.executable, "-c", asked])
    bare.clone.mkdir()
    found = bare.do("test", "python3")
    assert found["exit"] == 2 and found["said"] == "3 passed, 1 skipped"
    assert "HOME [] None None" in capsys.readouterr().out
    assert hour.last_words("TOTAL    10   0   0   0   97%\n") == (
        "97% of the lines covered"
    )
    axes = hour.hour_figure({"clone": found, "demo": found | {"exit": 0}}).axes[0]
    one, other = (bar.get_facecolor() for bar in axes.patches)
    assert one != other
    assert axes.get_yticklabels()[1].get_text().startswith("make demo")


def test_pages_of_a_processor_that_has_no_baseline():
    pages = importlib.import_module("bench.pages")
    known, _ = importlib.import_module("bench.results").read(pages.RESULTS)
    rows = {"new": next(iter(known.values())), **known}
    text = pages.headlines(rows, pages.read_sizes())
    assert text.startswith("| what | new | ") and " on new, " in text
    assert pages.sections(rows, pages.read_sizes()).startswith(
        "## Right answers\n\n| w"
    )


def test_the_pages_say_what_was_measured():
    pages = importlib.import_module("bench.pages")
    for path, text in pages.make_pages().items():
        assert path.read_text() == text, f"{path.name}: python -m bench.pages"
    readme = importlib.import_module("bench.reliability").read_part(
        "bench", pages.README
    )
    docs = pages.DOCS.read_text()
    known, _ = importlib.import_module("bench.results").read(pages.RESULTS)
    for row in next(iter(known.values())):
        assert f"| {row.what} | {row.value:.4g} {row.unit}".rstrip() in docs
    shown = [line for line in readme.splitlines() if line.startswith("| ")][1:]
    assert len(shown) == len(pages.HEADLINES) <= 15
    missed = {name: sum(not r.met for r in rows) for name, rows in known.items()}
    assert docs.count("**not met**") == sum(missed.values())
    assert all(f" {count} on {name}" in readme for name, count in missed.items())


def test_processors_stand_side_by_side():
    pages = importlib.import_module("bench.pages")
    results = importlib.import_module("bench.results")
    rows = {
        "one": [
            results.only("a", 1.0, "s"),
            results.at_most("b", 2.0, 1.0, "x"),
            results.only("a", 3.0),
        ],
        "two": [results.only("a", 4.0), results.only("a", 5.0), results.only("c", 6.0)],
    }
    names = [row.what for row in rows["one"]]
    assert pages.side_by_side(rows, names).splitlines()[2:] == [
        "| a | 1 s | 4 |  |",
        "| b | 2 x **not met** |  | <= 1 x |",
        "| a | 3 | 5 |  |",
    ]
    last = pages.side_by_side(rows, names, 2).splitlines()
    assert last[0] == "| what | one | two | must be |" and last[2] == "| a | 3 | 5 |  |"
    assert len(last) == 3


def test_results_of_other_processors_are_kept(monkeypatch, tmp_path):
    results = importlib.import_module("bench.results")
    path = tmp_path / "results.json"
    path.write_text('{"first": {"versions": "1", "rows": []}}')
    for name in ("second", "first"):
        monkeypatch.setattr(results, "processor", lambda name=name: name)
        results.write([results.only("a", 1.0)], path)
    rows, versions = results.read(path)
    assert list(rows) == ["first", "second"]
    assert rows["first"] == rows["second"] == [results.only("a", 1.0)]
    assert "Numba" in versions["second"]


def test_a_row_that_the_pages_lack_or_have_twice_is_named():
    pages = importlib.import_module("bench.pages")
    results = importlib.import_module("bench.results")
    rows = [results.only(what, 1.0) for what in ("one", "two", "two")]
    assert pages.place("o*", rows) == 0
    for pattern in ("t?o", "three"):
        with pytest.raises(ValueError, match=f"'{pattern[0]}.*rows, expected 1"):
            pages.place(pattern, rows)


def test_the_page_shows_ten_minutes_of_every_target_of_the_fuzz():
    fuzz = importlib.import_module("bench.fuzz")
    targets = importlib.import_module("bench.fuzz_targets").TARGETS
    found = fuzz.read_results()
    assert set(found) == set(targets)
    assert min(row["cpu_seconds"] for row in found.values()) >= 600
    page = importlib.import_module("bench.reliability")
    assert page.read_part("fuzz") == fuzz.fuzz_table()
    assert page.picture("fuzz").stat().st_size
    found["model"] = found["model"] | {"finding": "KeyError"}
    names = [text.get_text() for text in fuzz.fuzz_figure(found).legends[0].texts]
    assert names == [f"nothing found: {len(found) - 1} readers", "found: 1 readers"]


def test_the_page_shows_the_numbers_of_all_kernels_and_peers():
    trust = importlib.import_module("bench.trust")
    found = json.loads(trust.RESULTS.read_text(encoding="utf-8"))
    twins = importlib.import_module("fastcannon.selftest.kernels")
    cases = [*twins.training.CASES, *twins.inference.CASES]
    assert list(found["kernels"]) == cases
    assert trust.not_well(found) == []
    page = importlib.import_module("bench.reliability")
    assert page.read_part("trust") == trust.trust_text()
    for name in ("kernels", "pulls", "peers"):
        assert f"(pictures/reliability-{name}.png)" in page.PAGE.read_text()
        assert page.picture(name).stat().st_size


def test_numbers_that_are_not_right_are_named():
    trust = importlib.import_module("bench.trust")
    pulls = {case: {"width": [1.0, 1.0]} for case in trust.WIDTHS}
    found = {"kernels": {"a.b": [1e-9, 1e-7]}, "pulls": pulls, "peers": {"P": [0.01]}}
    assert trust.not_well(found) == []
    found["kernels"]["a.b"] = [np.nan, 1e-7]
    found["pulls"]["known model"]["width"] = [1.0, 0.9]
    found["peers"]["P"] = [0.1]
    kernel, pull, peer = trust.not_well(found)
    assert "a.b" in kernel and "known model" in pull and "P: half" in peer


def test_figures_of_numbers_are_drawn():
    trust = importlib.import_module("bench.trust")
    kernels = {"a.b": (0.0, 1e-7), "c.d": (1e-3, 1e-5)}
    colours = [
        c.get_facecolor() for c in trust.kernels_figure(kernels).axes[0].collections
    ]
    assert len(np.unique(colours[-1], axis=0)) == 2  # well, and not
    pulls = np.random.default_rng(1).normal(size=(500, 2))
    axes = trust.pulls_figure({"one": pulls, "two": pulls}).axes
    assert [one.get_title(loc="left") for one in axes] == ["one", "two"]
    line = trust.peers_figure({"P": np.array([1e-3, 1e-5])}).axes[0].lines[0]
    assert line.get_xdata().tolist() == [1e-5, 1e-3]
