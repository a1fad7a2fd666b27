"""The names of losses and of metrics."""

from __future__ import annotations

import difflib
from typing import Any

from ..core.serialization import Catalog


class NearCatalog(Catalog):
    """A catalog whose errors show the names that are near to an unknown one."""

    def _unknown(self, received: Any) -> ValueError:
        name = received.get("class_name") if isinstance(received, dict) else received
        near = difflib.get_close_matches(str(name), self.names, n=5, cutoff=0.5)
        return ValueError(
            f"A {self.noun} must be a known name, a config or a callable. Received: {received!r}. "
            + (f"Names near to it: {near}. " if near else f"Known names: {sorted(self.names)}. ")
            + "Pass your own as a function or an object; `@cornu.saving."
            "register_keras_serializable()` makes it known by name."
        )
