"""The engines that the tables run on, each with its twin without overrides where a check asks for it."""

from __future__ import annotations

import os

from cornu.engines import BUILTIN

#: Engines that compute nothing, or run what was traced alone: they have tests of their own.
_OTHERS = ("spec", "onnxruntime")
#: Every engine that trains; `CORNU_TEST_ENGINES="jax torch"` runs the tables on some of them.
ENGINES = tuple(
    os.environ.get(
        "CORNU_TEST_ENGINES", " ".join(name for name in BUILTIN if name not in _OTHERS)
    ).split()
)
