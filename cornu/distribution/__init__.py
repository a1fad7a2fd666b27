"""Many devices, many processes: the same step with the same result, its tensors divided among them."""

from typing import TYPE_CHECKING

from ..core.later import later as _later
from ._distributions import DataParallel as DataParallel
from ._distributions import Distribution as Distribution
from ._distributions import ModelParallel as ModelParallel
from ._distributions import distribution as distribution
from ._distributions import set_distribution as set_distribution
from ._joining import initialize as initialize
from ._layouts import LayoutMap as LayoutMap
from ._layouts import TensorLayout as TensorLayout
from ._layouts import distribute_tensor as distribute_tensor
from ._mesh import DeviceMesh as DeviceMesh
from ._mesh import get_device_count as get_device_count
from ._mesh import list_devices as list_devices
from ._sharded import fsdp as fsdp

if TYPE_CHECKING:
    from ..launch.call import remote as remote
    from ..models.parallel import tensor_parallel as tensor_parallel
else:  # of a floor above, which is loaded when it is asked for
    __getattr__, __dir__ = _later(
        globals(), {".models.parallel": "tensor_parallel", ".launch.call": "remote"}
    )
