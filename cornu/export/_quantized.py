"""What `export(..., quantize=...)` does to a file that was checked, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import is_number, is_size, one_of
from .measuring import Measured, Runs, drop, feeds, measure, processor

#: The layers with the most noise, of which a report speaks.
_NOISY = 5


class Tools(NamedTuple):
    """What a format is quantized with.

    Args:
        quantizers: By kind, what writes a file in fewer bits: from a file, into one, by inputs, for a CPU.
        opened: Gives what runs a file.
        left_float: The layers whose weights are floats in a file.
        noise: For some inputs, how far layers lie above their error in a file, in decibels; of the layers
            that are told of.
    """

    quantizers: Mapping[str, Callable[[Path, Path, Any, str | None], None]]
    opened: Callable[[Path], Runs]
    left_float: Callable[[Path], list[str]]
    noise: Callable[[Path, Path, dict[str, Any]], dict[str, float]]


class Quantizing(NamedTuple):
    """How a file is quantized: the arguments of a format's writer."""

    kind: str | None
    representative_data: Any = None
    validation: Any = None
    max_drop: float | None = None
    target: str | None = None

    def check(self, kinds: Sequence[str]) -> None:
        """Check the arguments before anything is written."""
        one_of((None, *kinds), quantize=self.kind)
        one_of((None, "vnni", "arm"), target=self.target)
        given = [name for name in self._fields[1:] if getattr(self, name) is not None]
        if self.kind is None and given:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in given)} goes with `quantize`. Received: "
                f"quantize=None. Give one of {list(kinds)}."
            )
        if self.kind == "int8" and self.representative_data is None:
            raise ValueError(
                "Ranges of 8 bits are found on data. Received: quantize='int8', "
                "representative_data=None. Give some tens of typical inputs, in the structure of the "
                "model's inputs: `representative_data=x[:100]`."
            )
        if self.max_drop is not None and self.validation is None:
            raise ValueError(
                f"`max_drop` is of a metric on data. Received: max_drop={self.max_drop}, "
                "validation=None. Give `validation=(x, y)`."
            )
        if self.max_drop is not None and not is_number(self.max_drop):
            raise ValueError(
                f"`max_drop` must be a number. Received: max_drop={self.max_drop!r}. An example is 0.005."
            )

    def versions(self, opset: int, ir_version: int) -> tuple[int, int]:
        """The least versions of operations and of the format that have what is needed, or those given."""
        if self.kind != "int4" or not is_size(opset) or not is_size(ir_version):
            return opset, ir_version  # what is no number is refused where the file is made
        return max(opset, 21), max(ir_version, 10)


def quantized(
    model: Any,
    traced: Any,
    content: bytes,
    file: Path,
    how: Quantizing,
    drawn: Any,
    verbose: bool,
    tools: Tools,
) -> list[tuple[str, str]]:
    """Put a quantized file in the place of another; one of 16 bits is there already.

    Args:
        content: The float file.
        drawn: What one run takes, where no data was given.

    Returns:
        What it cost and brought, in words.

    Raises:
        ValueError: If a metric gets worse by more than `max_drop`, or ranges can't be found on the data.
    """
    data = how.representative_data
    given = [] if data is None else [x for x, *_ in feeds(traced.specs, data)]
    if how.kind == "int8":
        _check_ranges(given)
    first = next(iter(given), None) or dict(zip(traced.names[0], drawn, strict=True))
    with TemporaryDirectory() as scratch:
        source = Path(scratch, "float").with_suffix(file.suffix)
        source.write_bytes(content)
        if write := tools.quantizers.get(str(how.kind)):
            write(source, file, given, how.target)
        if not verbose and how.max_drop is None:
            return []
        rows = {name: x[: len(drawn[0])] for name, x in first.items()}
        before, after = measure(
            [source, file], model, how.validation, traced.specs, rows, tools.opened
        )
        noisy = tools.noise(source, file, first) if how.kind in ("int8", "int4") else {}
    worst = sorted(noisy.items(), key=lambda pair: pair[1])[:_NOISY]
    told = ", ".join(f"{name} {ratio:.0f} dB" for name, ratio in worst)
    if how.max_drop is not None:
        name, lost = drop(model, before, after)
        if not lost <= how.max_drop:
            raise ValueError(
                f"A quantized file must keep the first metric within `max_drop`. Received: {name} "
                f"{before.scores[name]:.4g} of the float file and {after.scores[name]:.4g} of the "
                f"quantized one, max_drop={how.max_drop}. No file was written. Layers with the least "
                f"signal above their error: {told or 'not measured'}. Give more "
                "`representative_data`, or train with `cornu.optimization.quantize_model`."
            )
    return _rows(str(how.kind), before, after, tools.left_float(file), told)


def _check_ranges(given: list[dict[str, Any]]) -> None:
    """See that ranges can be found on data, all of it: one number that is none makes a file of such."""
    if not given:
        raise ValueError(
            "Ranges of 8 bits are found on data. Received: `representative_data` without a batch of the model's "
            "size. Give some tens of typical inputs."
        )
    for name, x in ((name, x) for feed in given for name, x in feed.items()):
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise ValueError(
                f"Ranges of 8 bits are found on finite numbers. Received: `representative_data` with {name!r} that has "
                "NaN or infinities. Leave such inputs out."
            )


def _rows(
    kind: str, before: Measured, after: Measured, floats: list[str], told: str
) -> list[tuple[str, str]]:
    share = after.size / before.size
    rows = [
        ("quantized", f"{kind}: {before.size:,} to {after.size:,} bytes ({share:.2f})"),
        (
            "zipped",
            f"{before.zipped:,} to {after.zipped:,} bytes ({after.zipped / before.zipped:.2f})",
        ),
        (
            "one run",
            f"{before.milliseconds:.3f} to {after.milliseconds:.3f} ms on one thread of {processor()}",
        ),
    ]
    rows += [(name, f"{x:.4g} to {after.scores[name]:.4g}") for name, x in before.scores.items()]
    rows += [("left float", ", ".join(floats))] if floats else []
    return rows + ([("least signal", told)] if told else [])
