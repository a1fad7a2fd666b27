"""What became of the weights in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class WeightsReport:
    """What `load_weights` did; printed, it says all but the names of what was loaded."""

    #: The paths of the model's weights that have their values from the file.
    loaded: list[str] = field(default_factory=list)
    #: The paths of those that the file has not.
    missing: list[str] = field(default_factory=list)
    #: The file's names of what the model has no place for.
    unexpected: list[str] = field(default_factory=list)
    #: The paths of weights that were left as they are, because they or others of their layer have
    #: another shape, each with the shape in the model and in the file.
    mismatched: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)

    def note(self, own: Mapping[Any, Any], stored: Mapping[Any, Any], fits: bool) -> None:
        """Add an object: its variables and its stored arrays by key, and whether they were taken."""
        for key in dict.fromkeys([*own, *stored]):
            if key not in stored:
                # A user's `load_own_variables` may go by other keys.
                self.missing.extend([] if stored and fits else [own[key].path])
            elif fits:
                self.loaded.append(own[key].path if key in own else stored[key].name)
            elif key not in own:
                self.unexpected.append(stored[key].name)
            else:
                shapes = tuple(own[key].shape), stored[key].shape()
                self.mismatched[own[key].path] = shapes

    def __repr__(self) -> str:
        counts = [f"{len(names)} {kind}" for kind, names in vars(self).items()]
        return f"<{type(self).__name__}: {', '.join(counts)}>"

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} weights loaded."]
        lines += [f"Missing in the file: {path}" for path in self.missing]
        lines += [f"Unexpected in the file: {name}" for name in self.unexpected]
        for path, (own, stored) in self.mismatched.items():
            lines.append(f"Mismatched: {path}, {own} in the model and {stored} in the file")
        return "\n".join(lines)
