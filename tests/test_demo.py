"""The demonstration: it runs, says what it made, and is the same every time."""

from fastcannon import demo

FILES = ["labels.fits", "model.fits", "one_to_one.png", "survey.fits"]
FILES += ["training.fits", "validation.fits"]


def small_demo(folder):
    demo.run_demo(folder, n_training=120, n_survey=80, n_pixels=150)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_demonstration_writes_the_same_files_each_time(tmp_path, capsys):
    first = small_demo(tmp_path / "first")
    output = capsys.readouterr().out
    assert sorted(first) == FILES
    assert output.count("teff       K") == 2
    assert "one_to_one.png" in output
    assert small_demo(tmp_path / "second") == first


def test_the_program_takes_a_folder(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(demo, "run_demo", asked.append)
    assert demo.main(["--out", str(tmp_path)]) == 0
    assert asked == [str(tmp_path)]
