"""Preprocessing of data."""

from typing import TYPE_CHECKING

from ..core.later import later
from . import sequence as sequence

if TYPE_CHECKING:
    from ..data.folders import image_dataset_from_directory as image_dataset_from_directory
    from ..data.folders import text_dataset_from_directory as text_dataset_from_directory
    from ..data.windows import timeseries_dataset_from_array as timeseries_dataset_from_array
    from . import image as image
else:
    __getattr__, __dir__ = later(
        globals(),
        {
            "image": "image",
            ".data.folders": "image_dataset_from_directory text_dataset_from_directory",
            ".data.windows": "timeseries_dataset_from_array",
        },
    )
