"""Models as estimators of scikit-learn, which is loaded when one of them is first asked for."""

from typing import TYPE_CHECKING

from ..core.later import later

if TYPE_CHECKING:
    from ._sklearn import SKLearnClassifier as SKLearnClassifier
    from ._sklearn import SKLearnRegressor as SKLearnRegressor
    from ._sklearn import SKLearnTransformer as SKLearnTransformer
else:
    _names = "SKLearnClassifier SKLearnRegressor SKLearnTransformer"
    __getattr__, __dir__ = later(globals(), {"_sklearn": _names})
