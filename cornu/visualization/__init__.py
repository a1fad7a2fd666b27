"""Models and pictures to look at."""

from ._galleries import draw_bounding_boxes as draw_bounding_boxes
from ._galleries import draw_segmentation_masks as draw_segmentation_masks
from ._galleries import plot_bounding_box_gallery as plot_bounding_box_gallery
from ._galleries import plot_image_gallery as plot_image_gallery
from ._galleries import plot_segmentation_mask_gallery as plot_segmentation_mask_gallery
from ._graph import graph_of as graph_of
from ._page import Picture as Picture
from ._page import visualize as visualize
