"""The demo from data to picture, reduced and in full, and the errors of the command line."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cornu
from cornu.cli import _demo, main
from cornu.cli._demo import Demo, appear_together
from cornu.cli._digits import with_shifts
from cornu.cli._picture import draw
from cornu.cli._reload import predict_afresh
from cornu.cli._trained import Digits, Sunspots

ROOT = Path(__file__).parent.parent
FILES = ["demo.png", "digits.html", "digits.keras", "sunspots.keras"]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from the header of a PNG file that is whole."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def results(mistakes: int = 1) -> tuple[Digits, Sunspots]:
    """What a training would give, without one."""

    def model(name: str) -> SimpleNamespace:
        def write(path: Path, **_: Any) -> None:
            path.write_text(name)

        return SimpleNamespace(name=name, save=write, export=write)

    generator = np.random.default_rng(0)
    truth = np.arange(40) % 10
    outputs = np.eye(10)[(truth + (np.arange(40) < mistakes)) % 10]
    history = {"loss": [1.0, 0.1], "val_loss": [2.0, 0.2], "val_accuracy": [0.5, 0.9]}
    images = generator.random((40, 8, 8, 1))
    digits = Digits(model("digits"), history, images, outputs, truth)
    series = generator.random(20)
    windows, years = generator.random((20, 22, 1)), np.arange(1930, 1950)
    sunspots = Sunspots(
        model("sunspots"), history, windows, series[:, None], series, years, series + 1, series - 4
    )
    return digits, sunspots


def test_reduced_demo_does_every_part_and_admits_that_it_is_not_good(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_demo, "TARGET", 1.01)
    output = tmp_path / "deep" / "out"
    code = Demo("jax", output, seed=3, digits_epochs=1, sunspots_epochs=2).run()
    shown = capsys.readouterr().out
    assert code == 1
    assert "101.0% was expected" in shown
    assert "the same in a fresh process" in shown
    assert "\x1b" not in shown and "\r" not in shown
    assert sorted(path.name for path in output.iterdir()) == FILES
    for name in FILES:
        assert str(output / name) in shown
    assert png_size(output / "demo.png") == (1400, 950)


@pytest.mark.slow
def test_full_demo_reads_the_digits_and_beats_persistence(tmp_path):
    result = python("-m", "cornu", "demo", "--output", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    accuracy = re.search(r"Digits +([\d.]+)% of 450", result.stdout)
    errors = re.search(r"off by ([\d.]+) a year .* is off by ([\d.]+)", result.stdout)
    assert accuracy and float(accuracy[1]) >= 98.5
    assert errors and float(errors[1]) < 0.7 * float(errors[2])
    assert "Warning" not in result.stderr


@pytest.mark.parametrize(
    ("difference", "code", "words"),
    [
        (0.0, 0, "both models predict exactly the same in a fresh process"),
        (5e-7, 0, "both models predict the same in a fresh process (to 5e-07)"),
        (0.25, 1, "WRONG: predictions in a fresh process differ by up to 0.25"),
        (np.nan, 1, "WRONG: predictions in a fresh process differ by up to nan"),
    ],
)
def test_a_difference_after_reloading_is_said_and_fails(
    difference, code, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Demo, "_train", lambda self, screen: results(mistakes=0))
    monkeypatch.setattr(
        "cornu.cli._reload.predict_afresh",
        lambda jobs, engine: [result.outputs + difference for result in results(mistakes=0)],
    )
    assert Demo("jax", tmp_path, seed=3).run() == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("mistakes", [0, 1, 20])
def test_the_picture_is_drawn_for_any_number_of_mistakes(mistakes, tmp_path):
    draw(*results(mistakes), tmp_path / "demo.png")
    assert png_size(tmp_path / "demo.png") == (1400, 950)


def test_models_that_cannot_be_read_afresh_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="can't be read in a new process: .*no-such-file"):
        predict_afresh([(tmp_path / "no-such-file.keras", np.zeros((1, 1)))], "jax")


def test_training_images_are_shifted_by_one_pixel():
    images = np.arange(2 * 64, dtype="float32").reshape(2, 8, 8, 1)
    shifted, labels = with_shifts(images, np.array([4, 7]))
    assert shifted.shape == (10, 8, 8, 1)
    np.testing.assert_array_equal(labels, [4, 7] * 5)
    np.testing.assert_array_equal(shifted[:2], images)
    np.testing.assert_array_equal(shifted[2:4, 1:], images[:, :-1])
    np.testing.assert_array_equal(shifted[8:, :, :-1], images[:, :, 1:])


def test_results_are_counted_and_worded():
    digits, sunspots = results(mistakes=1)
    assert digits.mistakes == 1
    assert digits.finding == "97.5% of 40 held-out images read correctly (1 mistake)"
    assert sunspots.finding == (
        'off by 1.0 a year on average in 1930-1949; "as last year" is off by 4.0'
    )


def test_files_appear_together_or_not_at_all(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), appear_together(output) as folder:
        (folder / "half.keras").write_text("half")
        raise KeyboardInterrupt
    assert not output.exists()
    with appear_together(output) as folder:
        (folder / "whole.keras").write_text("whole")
        assert list(output.glob("*.keras")) == []
    assert [path.name for path in output.iterdir()] == ["whole.keras"]


def test_interrupting_is_said_in_a_line(monkeypatch, capsys, tmp_path):
    def interrupt(self: Demo) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Demo, "run", interrupt)
    assert main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\nInterrupted: no file was written.\n"


def test_missing_libraries_are_named_with_the_command_that_installs_them(monkeypatch, capsys):
    monkeypatch.setattr(_demo, "NEEDED", {"cornu": "cornu", "no_such_module": "no-such-library"})
    assert main(["demo"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: The demo needs no-such-library. Install with: ")
    assert error.endswith("-m pip install no-such-library\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "no-such-engine"], "Received: 'no-such-engine'"),
        (["--engine", "spec"], "Received: engine='spec', which computes none. Try --engine jax."),
        (["--output", __file__], "The output must be a folder. Received: --output="),
    ],
)
def test_misuse_is_an_error_in_a_line(arguments, message, capsys):
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1


def test_help_imports_nothing_heavy():
    result = python("-X", "importtime", "-m", "cornu", "demo", "--help")
    assert result.returncode == 0
    assert "--seed" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"jax", "rich", "matplotlib", "sklearn", "statsmodels", "h5py"}


def test_without_a_command_it_shows_the_help(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_the_readme_example_runs(tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    file = tmp_path / "digits.keras"
    result = python("-W", "error", "-c", example[1].replace("digits.keras", str(file)))
    assert result.returncode == 0, result.stderr
    assert cornu.saving.load_model(file).output_shape == (None, 10)
