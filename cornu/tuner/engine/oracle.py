"""What chooses the hyperparameters of trials."""

from .._objective import Objective as Objective
from .._oracle import Oracle as Oracle
from .._oracle import synchronized as synchronized
