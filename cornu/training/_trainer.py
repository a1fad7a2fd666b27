"""The one trainer: what `compile`, `fit`, `evaluate` and `predict` take, and what a user's class may define anew.

A step is written with objects: it calls the model, takes gradients, applies them, updates metrics. `_programs`
makes it a native call of the current engine, `_loop` runs it over batches.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.scopes import here, within
from ..core.state import value_and_grad
from ..core.tracebacks import shorten
from ..data import make_source, outline, unpack_x_y_sample_weight
from ._batches import read_by
from ._compiling import Compiling
from ._home import at_home
from ._loop import Step, StepByStep, loop
from ._padding import samples, with_mask
from ._placing import Placing
from ._programs import Programs, prepare
from ._run import Run, training
from ._steps import AccumulatingSteps
from ._values import answer, concatenated, to_numpy

if TYPE_CHECKING:
    from ._finders import BatchSizes, LearningRates
    from ._profile import StepProfile


class Trainer(Compiling):
    """Training, evaluation and prediction, for a model to inherit."""

    #: The engine that the model was moved to; None for the one that is current.
    home: str | None = None

    @functools.cached_property
    def _programs(self) -> Programs:
        return Programs(self)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but compiled functions, which hold the variables of this model."""
        return {k: x for k, x in super().__getstate__().items() if k != "_programs"}

    # ------------------------------------------------------------------ steps

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch `(x, y, sample_weight)`; the metrics' values, by name.

        Subclasses override it for a training of their own; it runs on every engine.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_for() -> tuple[Any, Any]:
            y_pred = self._predicted(x, training=True)
            loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
            self._loss_tracker.update_state(
                loss,
                sample_weight=samples(x),
            )
            return self.optimizer.scale_loss(loss), y_pred

        trains = getattr(self.optimizer, "trains", lambda _: True)
        variables = [variable for variable in self.trainable_variables if trains(variable)]
        (_, y_pred), gradients = value_and_grad(loss_for, variables, has_aux=True)()
        self.optimizer.apply(gradients, variables)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation on a batch `(x, y, sample_weight)`."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._predicted(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=samples(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """One step of prediction on a batch `(x,)`."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._predicted(x, training=False)

    def _predicted(self, x: Any, training: bool) -> Any:
        if self._call_signature.has_training:
            return with_mask(self(x, training=training))
        with within(here.training, training):
            return with_mask(self(x))

    # ------------------------------------------------------- compiled functions

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that trains on the batches of one execution."""
        return self._programs.get("train", force)

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that evaluates the batches of one execution."""
        return self._programs.get("test", force)

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that predicts the batches of one execution."""
        return self._programs.get("predict", force)

    def _graph_of_calls(self) -> dict[str, Any]:
        """The graph of the model, by `visualization.graph_of`."""
        raise NotImplementedError

    def _checkpoints(self, *args: Any) -> Any:
        """The checkpoints in a directory, by the arguments of `saving.Checkpoints`."""
        raise NotImplementedError

    #: Whether layers on the host come first: they run as batches are read, the step on what they give.
    _prepares: bool = False

    #: A model of numbers, and what makes the outputs of those that it gives, where some are strings.
    _ending: tuple[Any, Callable[[Any], Any]] | None = None

    def _prepared(self, x: Any) -> Any:
        """What layers on the host make of inputs: a step takes that in their place."""
        return x

    def _output_names(self) -> list[str] | None:
        return getattr(self, "output_names", None)

    # -------------------------------------------------------------------- fit

    @at_home
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int | None = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        *,
        max_steps: int | None = None,
        max_time: float | timedelta | None = None,
        val_check_interval: int | None = None,
        fast_dev_run: bool | int = False,
        drop_remainder: bool = False,
        resume: str | os.PathLike[str] | None = None,
        loggers: Any = None,
    ) -> Any:
        """Train the model.

        Training ends where the first of `epochs`, `max_steps` and `max_time` is reached, or a callback sets
        `model.stop_training`: after the running step, the epoch ends as any does, with its validation.

        Args:
            x: The inputs: arrays, structures of arrays, or a source of batches (a generator, a
                `PyDataset`, a data loader) that gives `(x, y)` or `(x, y, sample_weight)`.
            y: The targets, where x is arrays.
            batch_size: The number of samples in a step. Where it is left out they are 32, or with arrays and
                `steps_per_epoch` as many as let the steps take all of them.
            epochs: The number of the last epoch; None leaves the end to `max_steps` or `max_time`.
            verbose: 0 is silent, 1 draws progress, 2 prints a line an epoch.
            callbacks: Callbacks, which see the course of training.
            validation_split: The share of the samples, from the end, that is held out.
            validation_data: The data that is evaluated after each epoch.
            shuffle: Whether samples come in a new order each epoch.
            class_weight: The weight of each class, by its index.
            sample_weight: The weight of each sample.
            initial_epoch: The number of epochs that are done already.
            steps_per_epoch: The number of steps of an epoch, where the source has no end.
            validation_steps: The number of steps of a validation.
            validation_batch_size: The number of samples in a step of validation.
            validation_freq: After how many epochs to validate, or after which.
            max_steps: How many steps to take in all, those before `initial_epoch` not counted.
            max_time: How long to train, in seconds or as a timedelta.
            val_check_interval: After how many steps to validate, counted over epochs and in place of after
                them. The logs of these steps have the values, and those of the epoch its last ones.
            fast_dev_run: Whether to try everything on one batch, or so many: a step, validation, callbacks
                (but for those that write files: `Callback.in_trials`). The model comes out as it went in.
            drop_remainder: Whether the samples of arrays that fill no batch at the end of an epoch are left out.
            resume: The directory of a `callbacks.Checkpoint`: training goes on from the last one there, be it in
                the middle of an epoch. Where there is none it begins.
            loggers: Where settings and metrics are written: a file of JSON lines such as `"run.jsonl"`,
                `"mlflow"`, `"mlflow:experiment"`, `"wandb"`, `"wandb:project"`, a callback, or a list of them.

        Returns:
            A `History`: what the metrics were, epoch by epoch.
        """
        run = training(**locals())
        history = self.history  # which a trial takes back
        with closing(loop(run)) as turns:
            for _ in turns:
                pass
        return history

    @at_home
    def steps(self, *args: Any, **kwargs: Any) -> Iterator[Step]:
        """`fit`, which takes the same, as a loop that the caller holds: a `Step` after each step of training.

        Callbacks, validation and progress are those of `fit`. `step.stop()` ends the training as
        `stop_training` does; who leaves the loop before its end leaves the training where it is.

        >>> import numpy as np
        >>> from cornu import Sequential, layers
        >>> model = Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> for step in model.steps(np.ones((8, 2)), np.ones(8), batch_size=2, epochs=9, verbose=0):
        ...     if step.number == 6:
        ...         step.stop()
        >>> step, sorted(step.logs), len(model.history.epoch)
        (<Step 6, epoch=1>, ['loss'], 2)
        """
        return StepByStep(training(**self._given(*args, **kwargs)))

    def _given(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of `fit`, those that were left out among them."""
        given = inspect.signature(Trainer.fit).bind(self, *args, **kwargs)
        given.apply_defaults()
        return given.arguments

    @at_home
    def find_learning_rate(
        self,
        x: Any,
        y: Any = None,
        *,
        lowest: float = 1e-7,
        highest: float = 10.0,
        steps: int = 100,
        verbose: Any = 0,
        **kwargs: Any,
    ) -> LearningRates:
        """Train for some steps with rising learning rates, to see where the loss falls; then undo it.

        Weights, optimizer, metrics and random numbers are what they were before, also after an error.

        Args:
            x, y: The data, as in `fit`.
            lowest, highest: The first and the last rate.
            steps: How many steps it takes; fewer, if the loss diverges before.
            verbose: As in `fit`.
            **kwargs: More for `fit`, such as `batch_size`.

        Returns:
            `rates` and `losses`, a `suggestion`, and their curve by `plot()`.

        Raises:
            ValueError: If the rates don't rise.

        >>> import numpy as np
        >>> from cornu import Sequential, layers
        >>> model = Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> found = model.find_learning_rate(np.ones((8, 2)), np.ones(8), steps=20)
        >>> 1e-7 < found.suggestion < 10
        True
        """
        from ._finders import find_learning_rate

        given = self._given(x, y, verbose=verbose, epochs=None, max_steps=steps, **kwargs)
        return find_learning_rate(self, lowest, highest, steps, given)

    @at_home
    def find_batch_size(
        self,
        x: Any,
        y: Any = None,
        *,
        smallest: int = 1,
        largest: int | None = None,
        steps: int = 5,
        verbose: Any = 0,
        **kwargs: Any,
    ) -> BatchSizes:
        """Train for some steps with batches of doubling sizes, to see how fast each is; then undo it.

        It ends where memory, or the samples, are not enough for the next size. Weights, optimizer, metrics
        and random numbers are what they were before, also after an error.

        Args:
            x, y: Arrays, as many samples as the largest batch is to have.
            smallest, largest: The first size, and the last one at most.
            steps: How many steps are timed with each.
            verbose: As in `fit`.
            **kwargs: More for `fit`, such as `sample_weight`.

        Returns:
            `sizes` and `seconds` of a step, the `largest` that fits, the `suggestion`, from which on training
            is not faster by more than a twentieth, and their curve by `plot()`.

        Raises:
            ValueError: If the smallest batch doesn't fit.
        """
        from ._finders import find_batch_size

        given = self._given(x, y, verbose=verbose, epochs=None, max_steps=steps, **kwargs)
        return find_batch_size(self, smallest, largest, steps, given)

    @at_home
    def profile(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        steps: int = 10,
        path: Any = None,
        verbose: bool = True,
    ) -> StepProfile:
        """See where the time of a training step goes: by layer, forward and backward; reading, compiling.

        On JAX and PyTorch their own profilers tell it, on other engines each layer is called by itself; a line
        says so. Afterwards the model is as it was.

        Args:
            x, y, batch_size, sample_weight: Data, as `fit` takes it.
            steps: How many steps to look at.
            path: Where to write a trace, which https://ui.perfetto.dev opens.
            verbose: Whether to print a table.

        Returns:
            The figures of the table.
        """
        from ._profile import profile

        self._require_compiled("profile")
        source = make_source(x, y, sample_weight, batch_size=batch_size)
        found = profile(self, read_by(self, source), steps)
        if path is not None:
            found.save(path)
        if verbose:
            found.print()
        return found

    @at_home
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, in batches.

        Args:
            x, y, sample_weight, batch_size, steps, callbacks, verbose: As in `fit`.
            return_dict: Whether the values come by name.

        Returns:
            The values by name, else in the order of `metrics_names`; the loss alone as a number.
        """
        self._require_compiled("evaluate")
        source = make_source(x, y, sample_weight, batch_size=batch_size, steps=steps)
        run = Run(self, "test", source, steps, callbacks, verbose)
        with closing(loop(run)) as turns:
            for _ in turns:
                pass
        return answer(self, run.logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs for data, in batches, as NumPy arrays."""
        size = 32 if batch_size is None else batch_size if type(batch_size) is int else 0
        plain = type(x) is np.ndarray and verbose == 0 and callbacks is None and steps is None
        # Not by `at_home`, which passes arguments on in 2 us: a small model on JAX takes 53 with all.
        plain = plain and self.home is None and self.built and x.dtype.kind in "biuf"
        if plain and x.ndim > 0 and 0 < len(x) <= size:
            programs = self._programs
            program = programs.predicting()
            if not programs.on_host:
                try:
                    return to_numpy(program([(x,)]))
                except Exception as error:
                    shorten(error)
                    raise
        return self._predict(x, batch_size, verbose, steps, callbacks)

    @at_home
    def _predict(self, x: Any, batch_size: Any, verbose: Any, steps: Any, callbacks: Any) -> Any:
        if self._ending is not None:
            body, finished = self._ending
            return finished(body.predict(x, batch_size, verbose, steps, callbacks))
        source = make_source(x, batch_size=batch_size, steps=steps)
        run = Run(self, "predict", source, steps, callbacks, verbose)
        with closing(loop(run)) as turns:
            outputs = [run.logs["outputs"] for _ in turns]
        if not outputs:
            raise ValueError(
                "`predict` needs data. Received: a source that gave no batch. Check its length."
            )
        return source.in_order(concatenated(outputs))

    # -------------------------------------------------------------- one batch

    @at_home
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; the metrics of this batch."""
        self._require_compiled("train_on_batch")
        (data,) = _one_batch(self, x, y, sample_weight, class_weight)
        prepare(self, data, training=True)
        self.reset_metrics()
        function = self.make_train_function()
        if isinstance(function, AccumulatingSteps):
            function.begin()
        return answer(self, function([data]), return_dict)

    @at_home
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; the metrics of this batch."""
        self._require_compiled("test_on_batch")
        (data,) = _one_batch(self, x, y, sample_weight, None)
        prepare(self, data, training=False)
        self.reset_metrics()
        return answer(self, self.make_test_function()([data]), return_dict)

    @at_home
    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for one batch, as NumPy arrays."""
        if self._ending is not None:
            body, finished = self._ending
            return finished(body.predict_on_batch(x))
        (data,) = _one_batch(self, x, None, None, None)
        prepare(self, data, training=False)
        x, _, _ = unpack_x_y_sample_weight(data)
        return to_numpy(self.make_predict_function()([(x,)]))


def _one_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> list[Any]:
    source = make_source(x, y, sample_weight, batch_size=sys.maxsize, class_weight=class_weight)
    batches = list(read_by(model, source))
    if len(batches) != 1:
        raise ValueError(
            f"A batch must be arrays with samples. Received: {outline(x)}. `fit` and its like take all data."
        )
    placing = Placing.here()
    return batches if placing is None else list(map(placing, batches))
