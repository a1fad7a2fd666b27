"""Nested structures of tensors: `keras.tree`."""

from .core.tree import MAP_TO_NONE as MAP_TO_NONE
from .core.tree import assert_same_paths as assert_same_paths
from .core.tree import assert_same_structure as assert_same_structure
from .core.tree import flatten as flatten
from .core.tree import flatten_with_path as flatten_with_path
from .core.tree import is_nested as is_nested
from .core.tree import lists_to_tuples as lists_to_tuples
from .core.tree import map_shape_structure as map_shape_structure
from .core.tree import map_structure as map_structure
from .core.tree import map_structure_up_to as map_structure_up_to
from .core.tree import pack_sequence_as as pack_sequence_as
from .core.tree import traverse as traverse
