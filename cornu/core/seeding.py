"""The seed of the process: where random numbers start when nothing else says so.

Default seeds of initializers and generators are drawn from Python's `random`, so that
`set_random_seed` makes everything that is built after it repeatable.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ..engines import seed_libraries

_LARGEST = 2**32 - 1
_state: dict[str, Any] = {"seed": None, "generation": 0}


def set_random_seed(seed: int) -> None:
    """Start Python's, NumPy's and Cornu's random numbers from one seed, and those of engines' libraries if loaded.

    Args:
        seed: An integer from 0 to 2**32 - 1.

    Raises:
        ValueError: If it is not one.

    >>> set_random_seed(1)
    >>> first = make_default_seed()
    >>> set_random_seed(1)
    >>> make_default_seed() == first
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(
            f"A random seed must be an integer. Received: seed={seed!r} of type "
            f"{type(seed).__name__}. Pass an integer such as 42."
        )
    if not 0 <= seed <= _LARGEST:
        raise ValueError(
            f"A random seed must be from 0 to 2**32 - 1. Received: seed={seed}. "
            "Pass an integer such as 42."
        )
    random.seed(int(seed))
    np.random.seed(int(seed))
    seed_libraries(int(seed))
    _state["seed"] = int(seed)
    _state["generation"] += 1


def get_random_seed() -> int | None:
    """The seed that was last given to `set_random_seed`, if any."""
    seed: int | None = _state["seed"]
    return seed


def generation() -> int:
    """How often `set_random_seed` was called: what was seeded by default starts again after it."""
    return int(_state["generation"])


def make_default_seed() -> int:
    """A seed for a generator that was given none."""
    return random.randint(1, 10**9)


def random_state() -> dict[str, Any]:
    """Where Python's and NumPy's random numbers of the process are, as plain values."""
    kind, keys, *rest = np.random.get_state()
    version, words, spare = random.getstate()
    return {
        "python": [version, np.array(words, np.uint32), spare],
        "numpy": [kind, keys, *rest],
    }


def set_random_state(state: Any) -> None:
    """Let them go on from where they were."""
    version, words, spare = state["python"]
    random.setstate((version, tuple(int(word) for word in words), spare))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))
