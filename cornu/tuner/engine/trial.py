"""One trial."""

from .._trial import Trial as Trial
from .._trial import TrialStatus as TrialStatus
