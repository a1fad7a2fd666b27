"""What is told of each event of training: to stop it, to save, to log, to change the rate."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ..core.later import later as _later
from ._backup_and_restore import BackupAndRestore as BackupAndRestore
from ._callback import Callback as Callback
from ._callback_list import CallbackList as CallbackList
from ._checkpoint import Checkpoint as Checkpoint
from ._csv_logger import CSVLogger as CSVLogger
from ._early_stopping import EarlyStopping as EarlyStopping
from ._history import History as History
from ._lambda_callback import LambdaCallback as LambdaCallback
from ._learning_rate import LearningRateScheduler as LearningRateScheduler
from ._learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
from ._loggers import JSONLinesLogger as JSONLinesLogger
from ._loggers import Logger as Logger
from ._loggers import MLflowLogger as MLflowLogger
from ._loggers import WandbLogger as WandbLogger
from ._loggers import logger as logger
from ._model_checkpoint import ModelCheckpoint as ModelCheckpoint
from ._progbar_logger import ProgbarLogger as ProgbarLogger
from ._remote_monitor import RemoteMonitor as RemoteMonitor
from ._swap_ema_weights import SwapEMAWeights as SwapEMAWeights
from ._terminate_on_nan import TerminateOnNaN as TerminateOnNaN

if _TYPE_CHECKING:
    from ._orbax import OrbaxCheckpoint as OrbaxCheckpoint
    from ._tensorboard import TensorBoard as TensorBoard
else:
    __getattr__, __dir__ = _later(
        globals(), {"_orbax": "OrbaxCheckpoint", "_tensorboard": "TensorBoard"}
    )
