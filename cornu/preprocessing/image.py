"""Images of files and arrays, under Keras's former names."""

from ..data.images import array_to_img as array_to_img
from ..data.images import img_to_array as img_to_array
from ..data.images import load_img as load_img
from ..data.images import save_img as save_img
from ..data.images import smart_resize as smart_resize
