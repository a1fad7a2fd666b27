"""The engines that the tables run on, each with its twin without overrides where a check asks for it."""

from __future__ import annotations

import os

from cornu.engines import BUILTIN

#: Every engine that computes; `CORNU_TEST_ENGINES="jax torch"` runs the tables on some of them.
ENGINES = tuple(
    os.environ.get(
        "CORNU_TEST_ENGINES", " ".join(name for name in BUILTIN if name != "spec")
    ).split()
)
