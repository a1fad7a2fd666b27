"""Models to look at."""

from ._page import Picture as Picture
from ._page import visualize as visualize
