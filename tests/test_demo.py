"""The demo from data to picture, reduced and in full, and the errors of the command line."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cornu
from cornu.cli import _demo, main
from cornu.cli._demo import Demo, appear_together
from cornu.cli._trained import Digits, Sunspots

ROOT = Path(__file__).parent.parent
FILES = ["demo.png", "digits.keras", "sunspots.keras"]


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


def test_reduced_demo_does_every_part_and_admits_that_it_is_not_good(tmp_path, capsys):
    output = tmp_path / "deep" / "out"
    code = Demo("jax", output, seed=3, digits_epochs=1, sunspots_epochs=2).run()
    shown = capsys.readouterr().out
    assert code == 1
    assert "98.5% was expected" in shown
    assert "the same in a fresh process" in shown
    assert "\x1b" not in shown and "\r" not in shown
    assert sorted(path.name for path in output.iterdir()) == FILES
    for name in FILES:
        assert str(output / name) in shown
    assert png_size(output / "demo.png") == (1400, 950)


@pytest.mark.slow
def test_full_demo_reads_the_digits_and_beats_persistence(tmp_path):
    result = python(
        "-W", "error::DeprecationWarning:cornu", "-m", "cornu", "demo", "--output", str(tmp_path)
    )
    assert result.returncode == 0, result.stderr
    accuracy = re.search(r"Digits +([\d.]+)% of 450", result.stdout)
    errors = re.search(
        r'off by ([\d.]+) a year .* "as last year" is off by ([\d.]+)', result.stdout
    )
    assert accuracy and float(accuracy[1]) >= 98.5
    assert errors and float(errors[1]) < 0.7 * float(errors[2])
    assert result.stderr == ""


def test_a_difference_after_reloading_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "cornu.cli._reload.predict_afresh",
        lambda jobs, engine: [np.zeros((len(inputs), 1)) for _, inputs in jobs],
    )
    assert Demo("jax", tmp_path, seed=3, digits_epochs=1, sunspots_epochs=1).run() == 1
    assert "WRONG: predictions in a fresh process differ" in capsys.readouterr().out


def test_held_out_digits_are_read_once_and_never_trained_on():
    from cornu.cli import _digits

    images = np.arange(2 * 64, dtype="float32").reshape(2, 8, 8, 1)
    shifted, labels = _digits.with_shifts(images, np.array([4, 7]))
    assert shifted.shape == (10, 8, 8, 1)
    np.testing.assert_array_equal(labels, [4, 7] * 5)
    np.testing.assert_array_equal(shifted[:2], images)
    np.testing.assert_array_equal(shifted[2:4, 1:], images[:, :-1])
    np.testing.assert_array_equal(shifted[8:, :, :-1], images[:, :, 1:])


def test_results_are_counted_and_worded():
    outputs = np.eye(10)[[1, 2, 2, 9]]
    digits = Digits(None, {}, np.zeros((4, 8, 8, 1)), outputs, np.array([1, 2, 3, 9]))
    assert digits.mistakes == 1
    assert digits.finding == "75.0% of 4 held-out images read correctly (1 mistake)"
    series = np.array([10.0, 20.0])
    sunspots = Sunspots(
        None, {}, series, series, series, np.array([1930, 1931]), series + 1, series - 4
    )
    assert sunspots.finding == (
        'off by 1.0 a year on average in 1930-1931; "as last year" is off by 4.0'
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
