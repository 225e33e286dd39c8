"""The demonstration: from simulated survey files to labels."""

from fastcannon import demo


def test_the_demonstration_compares_with_the_truth(tmp_path, capsys):
    demo.run_demo(tmp_path, n_stars=200, overlap=200)
    said = capsys.readouterr().out
    assert said.count("cross-validation, inferred minus given labels") == 4
    assert said.count("minus the hidden ones of") == 4
    run = tmp_path / "surveys" / "run"
    assert len(list(run.glob("*.png"))) == 4
    assert "training stars" in said and "inputs refused" in said


def test_the_program_takes_folders(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(demo, "run_demo", lambda *given: asked.append(given))
    assert demo.main(["--out", str(tmp_path), "--data", "x"]) == 0
    assert demo.main([]) == 0
    assert asked == [(str(tmp_path), "x"), ("demo", None)]
