"""Ops of mathematics: special functions, segments, the largest elements, Fourier transforms."""

from __future__ import annotations

from ._math import cdist as cdist
from ._math import erf as erf
from ._math import erfc as erfc
from ._math import erfinv as erfinv
from ._math import extract_sequences as extract_sequences
from ._math import fft as fft
from ._math import fft2 as fft2
from ._math import ifft2 as ifft2
from ._math import in_top_k as in_top_k
from ._math import irfft as irfft
from ._math import istft as istft
from ._math import logdet as logdet
from ._math import logsumexp as logsumexp
from ._math import rfft as rfft
from ._math import rsqrt as rsqrt
from ._math import segment_max as segment_max
from ._math import segment_min as segment_min
from ._math import segment_prod as segment_prod
from ._math import segment_sum as segment_sum
from ._math import stft as stft
from ._math import top_k as top_k
from ._math import view_as_complex as view_as_complex
from ._math import view_as_real as view_as_real
