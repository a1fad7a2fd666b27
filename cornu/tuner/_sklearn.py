"""`SklearnTuner`: the search over estimators of scikit-learn."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core import files
from ..core.checks import installed
from ._base import BaseTuner
from ._oracle import Oracle
from ._trial import Trial


class SklearnTuner(BaseTuner):
    """A search over estimators of scikit-learn, each scored by cross-validation.

    Args:
        oracle: What chooses; its objective is `Objective("score", "max")`, or one of the metrics' names.
        hypermodel: A function of hyperparameters that gives an estimator.
        scoring: A function of an estimator, its data and its targets; the estimator's own `score` by default.
        metrics: Functions of true and predicted targets, such as `sklearn.metrics.accuracy_score`.
        cv: What splits the data; five parts by default.
        **kwargs: Arguments of `BaseTuner`.

    The estimator that is kept was trained on all of the data. It is kept as a pickle in the project's folder: open
    no folder of strangers.

    >>> import tempfile
    >>> from sklearn.linear_model import Ridge
    >>> from cornu.tuner import Objective, oracles
    >>> x = np.arange(20.0).reshape(10, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tuner = SklearnTuner(
    ...         oracles.GridSearchOracle(Objective("score", "max")),
    ...         lambda hp: Ridge(alpha=hp.Choice("alpha", [0.1, 1000.0])),
    ...         directory=folder,
    ...     )
    ...     tuner.search(x, x[:, 0])
    ...     print(tuner.get_best_models()[0])
    trial ...
    Ridge(alpha=0.1)
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any,
        scoring: Callable[..., float] | None = None,
        metrics: Any = None,
        cv: Any = None,
        **kwargs: Any,
    ) -> None:
        installed("sklearn", "A search over estimators", "sklearn")
        from sklearn.model_selection import KFold

        super().__init__(oracle, hypermodel, **kwargs)
        self.scoring, self.cv = scoring, cv or KFold(5, shuffle=True, random_state=1)
        several = isinstance(metrics, Sequence)
        self.metrics: list[Any] = list(metrics) if several else [metrics] if metrics else []

    def search(  # type: ignore[override]  # the arguments of an estimator's `fit`
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, **options: Any
    ) -> None:
        """Try one set of hyperparameters after the other.

        Args:
            X: The data, (rows, features).
            y: The targets, (rows,).
            sample_weight: How much each row counts.
            groups: Which rows belong together, for `cv`.
            **options: `n_jobs`, `in_process` and `timeout_per_trial` of `BaseTuner.search`.
        """
        super().search(X, y, sample_weight=sample_weight, groups=groups, **options)

    def run_trial(
        self, trial: Trial, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> Any:
        """The mean score, and the means of the metrics, over the parts."""
        found: list[dict[str, float]] = []
        kept = {} if sample_weight is None else {"sample_weight": sample_weight}
        for train, test in self.cv.split(X, y, groups):
            model = self.hypermodel.build(trial.hyperparameters)
            model.fit(_rows(X, train), _rows(y, train), **_each(kept, train))
            score = self.scoring or type(model).score
            given = (_rows(X, test), _rows(y, test))
            metrics = {"score": float(score(model, *given, **_each(kept, test)))}
            predicted = model.predict(given[0]) if self.metrics else None
            for metric in self.metrics:
                metrics[metric.__name__] = float(metric(given[1], predicted, **_each(kept, test)))
            found.append(metrics)
        model = self.hypermodel.build(trial.hyperparameters)
        model.fit(X, y, **kept)
        self.save_model(trial.trial_id, model)
        return {name: float(np.mean([it[name] for it in found])) for name in found[0]}

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep the estimator of a trial."""
        folder = self.get_trial_dir(trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(folder / "model.pickle") as draft:
            Path(draft).write_bytes(pickle.dumps(model))

    def load_model(self, trial: Trial) -> Any:
        """The estimator of a trial."""
        return pickle.loads((self.get_trial_dir(trial.trial_id) / "model.pickle").read_bytes())

    def _stays(self) -> bool:
        """Estimators give their memory back by themselves."""
        return True


def _rows(data: Any, chosen: Any) -> Any:
    """Rows of an array, a sparse matrix or a frame."""
    if hasattr(data, "iloc"):
        return data.iloc[chosen]
    return data[chosen] if hasattr(data, "shape") else np.asarray(data)[chosen]


def _each(weights: dict[str, Any], chosen: Any) -> dict[str, Any]:
    return {name: _rows(value, chosen) for name, value in weights.items()}
