"""What the process may be told about speed: each choice is read, and made, in one line.

    tuning.memory()                    # what holds now
    tuning.memory("keep")              # from now on
    with tuning.deterministic(True):   # within the block
        ...

Each is also read once from the environment, by the name in capitals: `CORNU_MEMORY=keep`,
`CORNU_DETERMINISTIC=1`. Nothing here is per thread. [What each is worth](docs/speed.md).

In deterministic mode nothing depends on a clock, nor on how often something was called: the same script
with the same seed gives the same bits, whatever else the machine does. The choices that would break
that have a value of their own then (`Choice.fixed`). A `fit` that was stopped and goes on in another process, at
`initial_epoch`, gives the bits of one run: shuffling follows from the seed and the epoch, and files have the
states of the layers' generators. Draws that name no generator start anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T", bound="bool | int | str | None")

#: Several steps in a call (`several_steps`): from how many steps the time of one is taken, the seconds
#: of a step that is too long for it, those that a call of several shall take, and the most steps and
#: bytes of data in a call.
MEASURED_STEPS, SHORT_STEP, LONG_CALL, MOST_STEPS, MOST_BYTES = 16, 2e-3, 50e-3, 128, 2**25
#: XLA on TensorFlow (`xla_from`): the seconds of a step without loops from which TensorFlow's own
#: kernels are faster: a step of a GPT of width 128 on 16 sequences of 128 takes 171 ms of one core, by
#: XLA 208. The seconds that a step's calls must have taken, as compiling does, and how many programs a process keeps
#: that were not asked for.
LONG_STEP, XLA_SECONDS, XLA_PROGRAMS = 50e-3, 1.0, 32
#: Programs that are kept (`compile_cache`): the seconds that compiling one took at least, and the most
#: bytes of all.
LONG_COMPILATION, CACHE_BYTES = 0.2, 2**29

_UNSET: Any = object()


class Chosen:
    """What a choice gives when it is made: as a context, it makes the former one again at the end."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._undo()


class Choice(Generic[T]):
    """A choice: called without arguments it gives what holds, called with a value it is made.

    Args:
        name: Its name here, and in the environment after `CORNU_`.
        default: What holds where nobody says otherwise.
        doc: What it means.
        allowed: The values that it can have, where they are few.
        fixed: What holds in deterministic mode; by default what is chosen.
    """

    def __init__(
        self, name: str, default: T, doc: str, allowed: tuple[T, ...] = (), fixed: Any = _UNSET
    ) -> None:
        self.name = name
        self.allowed = allowed
        self.fixed = fixed
        self.__doc__ = doc
        self._default = default
        self._followers: list[Callable[[T], None]] = []
        self._value = default
        self._is_made = False
        if text := os.environ.get(f"CORNU_{name.upper()}"):
            self._value, self._is_made = self._checked(_read(text, type(default))), True

    @overload
    def __call__(self) -> T: ...
    @overload
    def __call__(self, value: T) -> Chosen: ...
    def __call__(self, value: Any = _UNSET) -> Any:
        if value is _UNSET:
            return self._value if self.fixed is _UNSET or not deterministic() else self.fixed
        former = self._value
        self._choose(value)
        return Chosen(lambda: self._choose(former))

    def __repr__(self) -> str:
        return f"<tuning.{self.name}: {self()!r}>"

    def prefer(self, value: Any) -> None:
        """Choose a value unless one was chosen already, here or in the environment."""
        if not self._is_made:
            self._choose(value)

    def follow(self, told: Callable[[T], None]) -> None:
        """Call a function with what holds, now and whenever it is chosen again."""
        self._followers.append(told)
        told(self())

    def _choose(self, value: Any) -> None:
        self._value, self._is_made = self._checked(value), True
        for told in self._followers:
            told(self())

    def _checked(self, value: Any) -> T:
        kinds = {type(self._default)} if self._default is not None else {type(None), str, bool}
        fits = value in self.allowed if self.allowed else type(value) in kinds
        if not fits or (type(value) is int and value < 0):
            known = list(self.allowed) or " or ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(
                f"`tuning.{self.name}` must be one of {known}. Received: {self.name}={value!r}. "
                f"By default it is {self._default!r}."
            )
        chosen: T = value
        return chosen


def _read(text: str, kind: type) -> Any:
    """A value of a kind as the environment has it: `0` is a number where numbers are chosen."""
    if kind is int and text.isdigit():
        return int(text)
    return {"0": False, "false": False, "1": True, "true": True, "none": None}.get(text, text)


deterministic = Choice(
    "deterministic",
    False,
    "Whether nothing may depend on a clock or a call's number. Seed the script, with\n"
    "`utils.set_random_seed`. PyTorch and TensorFlow are told to use deterministic kernels too, which\n"
    "TensorFlow then does until the process ends. Of an op that has none PyTorch warns; TensorFlow raises,\n"
    "naming the op. On a CPU all have one, XLA's with `jit_compile=True` included.",
)
memory = Choice(
    "memory",
    "fit",
    'Where freed memory stays with the process, for the next step to take: `"fit"`, while a `fit`\n'
    'runs; `"keep"`, always, with one heap for all threads; `"system"`, never. glibc alone can be told,\n'
    "and is not where the environment tells it (`MALLOC_...`, `GLIBC_TUNABLES`, `LD_PRELOAD`).",
    ("fit", "keep", "system"),
)
compile_cache: Choice[str | bool | None] = Choice(
    "compile_cache",
    None,
    "Where JAX keeps compiled programs for later processes: True for the user's cache folder\n"
    "(`~/.cache/cornu`), or a folder. It holds for all of the process's JAX, so it is asked for.",
)
light_import = Choice(
    "light_import",
    False,
    "Whether TensorFlow loads without Keras and JAX, which it does not need: they seem to be missing in\n"
    "every thread while it loads.",
)
quiet_import = Choice(
    "quiet_import",
    False,
    "Whether TensorFlow loads in silence: its libraries write to standard error past every log level, so\n"
    "for those seconds nothing that any thread writes there is seen.",
)
several_steps = Choice(
    "several_steps",
    True,
    "Whether `fit` may run several short steps in one call where no callback sees single batches, once\n"
    "the clock says that it pays. `compile(steps_per_execution=)` asks for it without a clock.",
    fixed=False,
)
whole_calls = Choice(
    "whole_calls",
    8,
    "From which call with tensors of a shape a model runs as one compiled step, where nobody can tell\n"
    "the difference; 0 for never. A call of two Dense layers on JAX takes 131 us layer by layer, 91 as\n"
    "one step, of which 79 are products.",
    fixed=0,
)
xla_from = Choice(
    "xla_from",
    32,
    "From which call XLA may compile a step on TensorFlow, where it wins; 0 for never. It takes 0.9 s for\n"
    "a tiny MLP and 4.2 s for a small GPT, so that the calls must have taken a second, and what is compiled stays\n"
    "until the process ends: 32 steps at most. `compile(jit_compile=)` says so for a model.",
    fixed=0,
)
interpreted_calls = Choice(
    "interpreted_calls",
    3,
    "How many calls of a function PyTensor interprets before it compiles it, where PyTensor was told a\n"
    "mode: many are called once or twice.",
    fixed=0,
)
strict = Choice(
    "strict",
    False,
    "Whether a fault that only makes a step slow is raised, and not logged: one in what PyTorch's recordings\n"
    "go through. Tests are strict.",
)
log: Choice[str | None] = Choice(
    "log",
    None,
    'Which messages of the logger `cornu` are shown on standard error, as `log(level)`: `"info"` says\n'
    "what is compiled, with the time and why again, what is chosen and what is refused.",
    (None, "debug", "info", "warning"),
)


def for_speed() -> None:
    """Choose what is fast for a process that is Cornu's alone: freed memory stays, compiled programs are
    kept for later processes, TensorFlow loads alone. What was chosen already stays."""
    fast = ((memory, "keep"), (compile_cache, True), (light_import, True))
    for choice, value in fast:
        choice.prefer(value)


def made() -> dict[str, Any]:
    """The choices that were made, by name, for another process to make them too."""
    choices = [it for it in globals().values() if isinstance(it, Choice)]
    return {choice.name: choice._value for choice in choices if choice._is_made}


def say(message: str, *args: object, level: str = "info") -> None:
    """Write to the logger `cornu`."""
    getattr(_logger(), level)(message, *args)


def says() -> bool:
    """Whether anybody sees what is said: finding out what to say may take time."""
    return bool(_logger().isEnabledFor(20))


def _logger() -> Any:
    import logging  # takes 5 ms, which an import of this library need not

    return logging.getLogger("cornu")


def _show(level: str | None, shown: list[Any] = []) -> None:  # noqa: B006 (one for the process)
    if level is None and not shown:
        return
    import logging

    logger = _logger()
    if not shown:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        shown.append(handler)
    logger.removeHandler(shown[0])
    logger.setLevel(logging.NOTSET if level is None else level.upper())
    if level is not None:
        logger.addHandler(shown[0])


log.follow(_show)
