"""The metrics of trials."""

from .._history import MetricHistory as MetricHistory
from .._history import MetricObservation as MetricObservation
from .._history import MetricsTracker as MetricsTracker
from .._objective import infer_metric_direction as infer_metric_direction
