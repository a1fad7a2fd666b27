"""Estimators of scikit-learn that are models: for its pipelines, searches and cross-validation."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        RegressorMixin,
        TransformerMixin,
        is_classifier,
    )
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "Estimators need scikit-learn, 1.6 or later. Received: none, or an older one. Install it "
        "with: pip install 'cornu[sklearn]'",
        name=error.name,
    ) from error

from ..models import Model, clone_model


class SKLBase(BaseEstimator):  # type: ignore[misc]
    """A model as an estimator: what the three share.

    Args:
        model: A compiled model, of which each `fit` trains a copy with new weights, or a function
            `model(X, y, **model_kwargs)` that gives a compiled model for the data.
        warm_start: Whether `fit` goes on from the weights of the last one, at first from the model's.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`.

    Attributes:
        model_: The trained model, after `fit`.
        history_: What its `fit` returned.
    """

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # weights are drawn
        tags.target_tags.required = True
        for kind in (tags.classifier_tags, tags.regressor_tags):
            if kind is not None:
                kind.poor_score = True  # of one epoch
        return tags

    @property
    def epoch_(self) -> int:
        """How many epochs the last `fit` had."""
        history = getattr(self, "history_", None)
        return 0 if history is None else len(history.epoch)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Train the model.

        Args:
            X: Samples (n, features).
            y: Targets (n,).
            **kwargs: More for the model's `fit`, over `fit_kwargs`.

        Raises:
            ValueError: If the data is not of numbers, or has NaN, or does not fit together.
            RuntimeError: If the model is not compiled.
        """
        X, y = validate_data(self, X, y, y_numeric=not is_classifier(self))
        y = self._encoded(y)
        if not (self.warm_start and hasattr(self, "model_")):
            self.model_ = self._new_model(X, y)
        self.history_ = self.model_.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        return self

    def predict(self, X: Any) -> Any:
        """The predictions for samples (n, features)."""
        return self._decoded(self._outputs(X))

    def _new_model(self, X: Any, y: Any) -> Any:
        given = self.model
        if not (isinstance(given, Model) or callable(given)):
            raise TypeError(
                "`model` must be a compiled model, or a function that gives one. Received: "
                f"model={given!r}. Pass `lambda X, y: model`, say."
            )
        if isinstance(given, Model):
            made = clone_model(given)
            if self.warm_start and given.built:
                made.set_weights(given.get_weights())
        else:
            made = given(X=X, y=y, **(self.model_kwargs or {}))
        if not getattr(made, "compiled", False):
            raise RuntimeError(
                f"The model of an estimator must be compiled. Received: {made!r}. "
                "Call `compile(optimizer, loss)` on it."
            )
        return made

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)

    def _encoded(self, y: Any) -> Any:
        """Targets as the model trains on them: (n, 1)."""
        return y[:, None]

    def _decoded(self, outputs: Any) -> Any:
        """Predictions in the form of the targets."""
        return outputs[:, 0] if outputs.shape[1:] == (1,) else outputs


class SKLearnClassifier(ClassifierMixin, SKLBase):  # type: ignore[misc]
    """A model as a classifier, which is trained on one-hot rows and gives a number for each class.

    Args:
        model: A compiled model, of which each `fit` trains a copy with new weights, or a function
            `model(X, y, **model_kwargs)` that gives a compiled model for the data; its `y` is
            (n, classes), one-hot.
        warm_start: Whether `fit` goes on from the weights of the last one, at first from the model's.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`.

    Attributes:
        model_: The trained model, after `fit`.
        history_: What its `fit` returned.
        classes_: The classes, in the order of the model's outputs.

    >>> import cornu
    >>> from sklearn.datasets import make_classification
    >>> def net(X, y, units):
    ...     model = cornu.Sequential(
    ...         [cornu.layers.Dense(units, "relu"), cornu.layers.Dense(y.shape[1], "softmax")]
    ...     )
    ...     model.compile("adam", "categorical_crossentropy")
    ...     return model
    >>> X, y = make_classification(64, random_state=0)
    >>> estimator = SKLearnClassifier(net, model_kwargs={"units": 4}, fit_kwargs={"verbose": 0})
    >>> estimator.fit(X, y).predict(X).shape
    (64,)
    """

    def decision_function(self, X: Any) -> Any:
        """How much speaks for each class, for samples (n, features): the model's outputs (n, classes).

        Of two classes it is (n,), as scikit-learn has it: the second one's output less the first one's.
        """
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def _encoded(self, y: Any) -> Any:
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "Classifier can't train when only one class is present. Received: "
                f"y of the class {self.classes_[0]!r} alone. Pass samples of several classes."
            )
        return np.eye(len(self.classes_))[places.ravel()]

    def _decoded(self, outputs: Any) -> Any:
        return self.classes_[outputs.argmax(-1)]


class SKLearnRegressor(RegressorMixin, SKLBase):  # type: ignore[misc]
    """A model as a regressor.

    Args:
        model: A compiled model, of which each `fit` trains a copy with new weights, or a function
            `model(X, y, **model_kwargs)` that gives a compiled model for the data; its `y` is (n, 1).
        warm_start: Whether `fit` goes on from the weights of the last one, at first from the model's.
        model_kwargs: Arguments of that function.
        fit_kwargs: Arguments of the model's `fit`.

    Attributes:
        model_: The trained model, after `fit`.
        history_: What its `fit` returned.

    >>> import cornu
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(64, random_state=0)
    >>> model = cornu.Sequential([cornu.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> SKLearnRegressor(model, fit_kwargs={"verbose": 0}).fit(X, y).predict(X).shape
    (64,)
    """


class SKLearnTransformer(TransformerMixin, SKLBase):  # type: ignore[misc]
    """A model as a transformer: it is trained on targets, and what it gives for samples is their transform.

    Args:
        model, warm_start, model_kwargs, fit_kwargs: As of `SKLearnRegressor`, and so are its attributes.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # it is the model's
        return tags

    def transform(self, X: Any) -> Any:
        """The model's outputs for samples (n, features)."""
        return self._outputs(X)
