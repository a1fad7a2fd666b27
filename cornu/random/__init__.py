"""Random numbers of the current engine, from seeds."""

from __future__ import annotations

from ._functions import beta as beta
from ._functions import binomial as binomial
from ._functions import categorical as categorical
from ._functions import dropout as dropout
from ._functions import gamma as gamma
from ._functions import normal as normal
from ._functions import randint as randint
from ._functions import shuffle as shuffle
from ._functions import truncated_normal as truncated_normal
from ._functions import uniform as uniform
from ._seeds import SeedGenerator as SeedGenerator
from ._seeds import draw_seed as draw_seed
from ._seeds import forget_global_seed_generator as forget_global_seed_generator
from ._seeds import global_seed_generator as global_seed_generator
from ._seeds import process_state as process_state
from ._seeds import set_process_state as set_process_state
