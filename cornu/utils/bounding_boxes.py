"""Bounding boxes: formats, changes, comparisons and encodings."""

from ..layers.boxes import affine_transform as affine_transform
from ..layers.boxes import clip_to_image_size as clip_to_image_size
from ..layers.boxes import compute_ciou as compute_ciou
from ..layers.boxes import compute_iou as compute_iou
from ..layers.boxes import convert_format as convert_format
from ..layers.boxes import crop as crop
from ..layers.boxes import decode_deltas_to_boxes as decode_deltas_to_boxes
from ..layers.boxes import encode_box_to_deltas as encode_box_to_deltas
from ..layers.boxes import pad as pad
