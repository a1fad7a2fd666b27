"""Models to look at."""

from ._graph import graph_of as graph_of
from ._page import Picture as Picture
from ._page import visualize as visualize
