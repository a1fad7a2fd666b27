"""Where random numbers come from: a seed and a counter, kept as state.

A `SeedGenerator` holds `[seed, counter]` in a variable. Each draw takes the present pair as its key
and advances the counter, also within a compiled step, where the variable is part of the state.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..core import naming, seeding
from ..core.op import namespace
from ..core.scopes import in_stateless_scope
from ..core.types import Raw, Tensor
from ..core.variable import Variable
from ..engines import current as engine

op = namespace("random")

_LIMIT = 2**32


class SeedGenerator:
    """A source of keys for random ops: each key is another one, in an order that the seed fixes.

    Args:
        seed: An integer from 0 to 2**32 - 1; drawn from Python's `random` where it is left out.
        name: The name, which the path of the state starts with.

    Raises:
        ValueError: If the seed is not such an integer.

    >>> from cornu import random
    >>> generator = random.SeedGenerator(1)
    >>> first, second = random.normal((2,), seed=generator), random.normal((2,), seed=generator)
    >>> bool((first != second).all())
    True
    """

    _tracked_as: ClassVar[str] = "states"
    #: What files call the state: Keras's have none, and nobody takes it for a weight.
    KEY: ClassVar[str] = "seed_and_counter"

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        kwargs.pop("backend", None)
        if kwargs:
            raise ValueError(f"SeedGenerator takes `seed` and `name`. Received: {sorted(kwargs)}.")
        self.name = name or naming.auto_name(type(self).__name__)
        self._initial_seed = None if seed is None else _checked(seed)
        start = seeding.make_default_seed() if seed is None else self._initial_seed
        with naming.NameScope(self.name, caller=self):
            self.state = Variable(
                np.array([start, 0], np.uint32),
                dtype="uint32",
                trainable=False,
                autocast=False,
                aggregation="none",
                name="seed_generator_state",
            )
        self.state.is_shared = True

    def next(self, ordered: bool = True) -> Tensor:
        """The next key, a uint32 tensor of shape `(2,)`; the state moves on.

        `ordered` is kept for compatibility: keys always come in the order of the draws.
        """
        with self.state.lock:  # two threads get two keys
            key, state = _advance(self.state.value)
            if engine().computes or in_stateless_scope():
                self.state.assign(state)
            return key

    def get_config(self) -> dict[str, Any]:
        """The seed that was given, and the name."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The generator that `get_config` described."""
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Put the seed and the counter into a mapping."""
        store[self.KEY] = self.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Go on where another generator was; as before where the mapping, as in Keras's files, is empty.

        Raises:
            ValueError: If it holds something else.
        """
        if not store:
            return
        value = np.asarray(store.get(self.KEY, ()))
        if value.shape != (2,) or value.dtype.kind != "u":
            raise ValueError(
                f"A file has the seed and the counter of {self.name!r} as two unsigned integers. "
                f"Received: shape={value.shape}, dtype={value.dtype}. Save the model again."
            )
        self.state.assign(value)


@op
def _advance(state: Raw) -> tuple[Tensor, Tensor]:
    """A copy of the state, which is the key, and the state after it."""
    steps = [engine().convert_to_tensor(np.array([0, step], np.uint32)) for step in (0, 1)]
    return engine().add(state, steps[0]), engine().add(state, steps[1])


class _Global:
    """The generator of draws that name no seed, made again after `set_random_seed`."""

    generator: SeedGenerator | None = None
    generation = -1
    lock = threading.RLock()


def _present() -> SeedGenerator | None:
    """The generator of draws that name no seed, if one was made since `set_random_seed`."""
    return _Global.generator if _Global.generation == seeding.generation() else None


def global_seed_generator() -> SeedGenerator:
    """The generator of draws that name no seed."""
    with _Global.lock:
        generator = _present()
        if generator is None:
            with naming.at_path(""):
                generator = SeedGenerator(
                    seed=seeding.get_random_seed(), name="global_seed_generator"
                )
            _Global.generator, _Global.generation = generator, seeding.generation()
        return generator


def forget_global_seed_generator() -> None:
    """Let the draws that name no seed start again."""
    _Global.generator = None


def process_state() -> dict[str, Any]:
    """Where the random numbers of the process are: Python's, NumPy's and draws that name no seed."""
    generator = _present()
    drawn = None if generator is None else generator.state.numpy()
    return {"drawn": drawn, **seeding.random_state()}


def set_process_state(state: Mapping[str, Any]) -> None:
    """Let them go on from there: from their beginning, where nothing had been drawn."""
    if state["drawn"] is not None:
        global_seed_generator().load_own_variables({SeedGenerator.KEY: state["drawn"]})
    elif (generator := _present()) is not None:
        generator.state.assign(generator.state.numpy() * np.array([1, 0], np.uint32))
    seeding.set_random_state(state)


def draw_seed(seed: Any = None) -> Tensor:
    """The key of one draw, of shape `(2,)`.

    Args:
        seed: An integer gives the same key each time; a `SeedGenerator` its next key; None the next
            key of the process's own generator; a tensor of the current engine is a key itself.

    Raises:
        ValueError: If it is none of these.
    """
    if seed is None:
        seed = global_seed_generator()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return np.array([_checked(seed), 0], np.uint32)
    if engine().is_tensor(seed) and not isinstance(seed, float):
        return seed
    raise ValueError(
        "`seed` must be an integer or a `SeedGenerator`. "
        f"Received: seed={seed!r} of type {type(seed).__name__}. "
        "Pass an integer for the same numbers each time, a `SeedGenerator` for new ones."
    )


def _checked(seed: Any) -> int:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise ValueError(
            "`seed` must be an integer. "
            f"Received: seed={seed!r} of type {type(seed).__name__}. Pass an integer such as 42."
        )
    if not 0 <= seed < _LIMIT:
        raise ValueError(
            f"`seed` must be from 0 to 2**32 - 1. Received: seed={seed}. "
            "Pass an integer such as 42."
        )
    return int(seed)
