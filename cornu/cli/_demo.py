"""`python -m cornu demo`: from data to a saved model and a picture, twice."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

import cornu
from cornu import engines

if TYPE_CHECKING:
    from ._screen import Screen
    from ._trained import Digits, Sunspots, Trained

#: The share of held-out digits to read correctly, and the difference to allow after reloading.
TARGET = 0.985
TOLERANCE = 1e-6
PICTURE = "demo.png"
PAGE = "digits.html"
#: What is imported: what it is called where one installs it.
NEEDED = {"sklearn": "scikit-learn", "statsmodels": "statsmodels", "matplotlib": "matplotlib"}


@dataclass(frozen=True)
class Demo:
    """One run of the demo."""

    engine: str | None
    output: Path
    seed: int
    digits_epochs: int = 8
    sunspots_epochs: int = 60

    def run(self) -> int:
        """Train, save, reload, draw, report. Returns the exit code."""
        started = time.perf_counter()
        try:
            engine = self._check()
        except (OSError, ValueError, ModuleNotFoundError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        from ._screen import Screen

        screen = Screen()
        with engines.use(engine), appear_together(self.output) as folder:
            digits, sunspots = self._train(screen)
            difference = self._save_and_reload(screen, folder, digits, sunspots)
            self._draw(screen, folder, digits, sunspots)
            self._write_page(screen, folder, digits)
            seconds = time.perf_counter() - started
        self._report(screen, digits, sunspots, difference, f"{engine.name}: {seconds:.0f} s")
        return 0 if digits.accuracy >= TARGET and difference <= TOLERANCE else 1

    def _check(self) -> engines.Engine:
        """The engine, if the demo can run."""
        missing = [name for module, name in NEEDED.items() if not importlib.util.find_spec(module)]
        if missing:
            names = " ".join(missing)
            raise ModuleNotFoundError(
                f"The demo needs {', '.join(missing)}. "
                f"Install with: {_python()} -m pip install {names}"
            )
        if self.output.exists() and not self.output.is_dir():
            raise NotADirectoryError(
                f"The output must be a folder. Received: --output={self.output}, which is a file. "
                "Give the name of a folder; it need not exist yet."
            )
        engine = engines.get(self.engine or engines.current_name())
        if not (engine.trains and engine.computes):
            raise ValueError(
                "The demo trains, so its engine must compute gradients. "
                f"Received: engine={engine.name!r}, which computes none. Try --engine jax."
            )
        return engine

    def _train(self, screen: Screen) -> tuple[Digits, Sunspots]:
        from . import _digits, _sunspots

        screen.heading("1. Handwritten digits: a convolutional network on 1,797 scanned images")
        with screen.training() as callback:
            digits = _digits.train(self.seed, self.digits_epochs, [callback])
        screen.line(digits.finding)
        screen.heading("2. Sunspots: a recurrent network on the years 1700 to 2008")
        with screen.training() as callback:
            sunspots = _sunspots.train(self.seed, self.sunspots_epochs, [callback])
        screen.line(sunspots.finding)
        return digits, sunspots

    def _save_and_reload(self, screen: Screen, folder: Path, *results: Trained) -> float:
        """The largest difference that saving and loading makes to a prediction."""
        from ._reload import predict_afresh

        screen.heading("3. Save both, load them in a fresh process, predict again")
        for result in results:
            result.model.save(folder / result.file)
        jobs = [(folder / result.file, result.inputs) for result in results]
        again = predict_afresh(jobs, engines.current_name())
        differences = [
            np.max(np.abs(outputs - result.outputs))
            for outputs, result in zip(again, results, strict=True)
        ]
        difference = float(np.max(differences))
        screen.line(_reloaded(difference))
        return difference

    def _draw(self, screen: Screen, folder: Path, digits: Digits, sunspots: Sunspots) -> None:
        from ._picture import draw

        screen.heading("4. Draw what they learned")
        draw(digits, sunspots, folder / PICTURE)
        screen.line(str(self.output / PICTURE))

    def _write_page(self, screen: Screen, folder: Path, digits: Digits) -> None:
        """A page on which one draws a digit; what it needs may be missing, which is no failure."""
        screen.heading("5. A page that runs the network: draw a digit, see it read, correct it")
        try:
            digits.model.export(
                folder / PAGE,
                format="web",
                verbose=False,
                title="Draw a digit",
                examples=digits.inputs[:64],
                labels=[str(digit) for digit in range(10)],
                learn=True,
            )
        except (ModuleNotFoundError, RuntimeError) as error:
            screen.line(f"not written. {error}")
        else:
            screen.line(str(self.output / PAGE))

    def _report(
        self,
        screen: Screen,
        digits: Digits,
        sunspots: Sunspots,
        difference: float,
        cost: str,
    ) -> None:
        good = digits.accuracy >= TARGET
        done = [
            ("Digits", digits.finding + ("" if good else f"; {TARGET:.1%} was expected")),
            ("Sunspots", sunspots.finding),
            ("Reloaded", _reloaded(difference)),
        ]
        files = [
            ("Picture", str(self.output / PICTURE)),
            ("Page", str(self.output / PAGE)),
            ("Digits", str(self.output / digits.file)),
            ("Sunspots", str(self.output / sunspots.file)),
        ]
        following = [
            ("Other images", f"{_python()} -m cornu demo --seed {self.seed + 1}"),
            ("In Python", f"cornu.saving.load_model({str(self.output / digits.file)!r})"),
            ("In your script", "replace `import keras` by `import cornu as keras`"),
        ]
        screen.closing(
            f"Cornu {cornu.__version__} on {cost}",
            [("What was done", done), ("Where it is", files), ("What to try next", following)],
        )


@contextmanager
def appear_together(output: Path) -> Iterator[Path]:
    """A folder whose files move to `output` when the block ends well, and vanish when not."""
    is_new = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=output, prefix=".unfinished-") as folder:
            yield Path(folder)
            for file in Path(folder).iterdir():
                file.replace(output / file.name)
    except BaseException:
        if is_new:
            with suppress(OSError):
                output.rmdir()
        raise


def _reloaded(difference: float) -> str:
    if difference == 0:
        return "both models predict exactly the same in a fresh process"
    if difference <= TOLERANCE:
        return f"both models predict the same in a fresh process (to {difference:.0e})"
    return f"WRONG: predictions in a fresh process differ by up to {difference:.2g}"


def _python() -> str:
    """This interpreter, as one would type it here."""
    path = os.path.relpath(sys.executable)
    return shlex.quote(min(path, sys.executable, key=len))
