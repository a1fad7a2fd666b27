"""Layers: state and a computation on tensors."""

from typing import TYPE_CHECKING

from ..core.later import later
from ._activations import ELU as ELU
from ._activations import LeakyReLU as LeakyReLU
from ._activations import PReLU as PReLU
from ._activations import ReLU as ReLU
from ._activations import Softmax as Softmax
from ._attention import AdditiveAttention as AdditiveAttention
from ._attention import Attention as Attention
from ._attention import GroupedQueryAttention as GroupQueryAttention
from ._attention import MultiHeadAttention as MultiHeadAttention
from ._audio import MelSpectrogram as MelSpectrogram
from ._audio import STFTSpectrogram as STFTSpectrogram
from ._categories import CategoryEncoding as CategoryEncoding
from ._categories import Discretization as Discretization
from ._cells import GRUCell as GRUCell
from ._cells import LSTMCell as LSTMCell
from ._cells import SimpleRNNCell as SimpleRNNCell
from ._cells import StackedRNNCells as StackedRNNCells
from ._colour import AutoContrast as AutoContrast
from ._colour import (
    ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization,
)
from ._colour import Equalization as Equalization
from ._colour import RandomBrightness as RandomBrightness
from ._colour import RandomColorDegeneration as RandomColorDegeneration
from ._colour import RandomColorJitter as RandomColorJitter
from ._colour import RandomContrast as RandomContrast
from ._colour import RandomGaussianBlur as RandomGaussianBlur
from ._colour import RandomGrayscale as RandomGrayscale
from ._colour import RandomHue as RandomHue
from ._colour import RandomInvert as RandomInvert
from ._colour import RandomPosterization as RandomPosterization
from ._colour import RandomSaturation as RandomSaturation
from ._colour import RandomSharpness as RandomSharpness
from ._colour import Solarization as Solarization
from ._conv_lstm import ConvLSTM1D as ConvLSTM1D
from ._conv_lstm import ConvLSTM2D as ConvLSTM2D
from ._conv_lstm import ConvLSTM3D as ConvLSTM3D
from ._convolution import Conv1D as Conv1D
from ._convolution import Conv1D as Convolution1D
from ._convolution import Conv1DTranspose as Conv1DTranspose
from ._convolution import Conv1DTranspose as Convolution1DTranspose
from ._convolution import Conv2D as Conv2D
from ._convolution import Conv2D as Convolution2D
from ._convolution import Conv2DTranspose as Conv2DTranspose
from ._convolution import Conv2DTranspose as Convolution2DTranspose
from ._convolution import Conv3D as Conv3D
from ._convolution import Conv3D as Convolution3D
from ._convolution import Conv3DTranspose as Conv3DTranspose
from ._convolution import Conv3DTranspose as Convolution3DTranspose
from ._convolution import DepthwiseConv1D as DepthwiseConv1D
from ._convolution import DepthwiseConv2D as DepthwiseConv2D
from ._convolution import SeparableConv1D as SeparableConv1D
from ._convolution import SeparableConv1D as SeparableConvolution1D
from ._convolution import SeparableConv2D as SeparableConv2D
from ._convolution import SeparableConv2D as SeparableConvolution2D
from ._core import Activation as Activation
from ._core import Dense as Dense
from ._core import EinsumDense as EinsumDense
from ._core import Embedding as Embedding
from ._core import Identity as Identity
from ._core import Lambda as Lambda
from ._core import Masking as Masking
from ._core import ReversibleEmbedding as ReversibleEmbedding
from ._core import Weight as Weight
from ._foreign import FlaxLayer as FlaxLayer
from ._foreign import JaxLayer as JaxLayer
from ._foreign import TFSMLayer as TFSMLayer
from ._foreign import TorchModuleWrapper as TorchModuleWrapper
from ._get import deserialize as deserialize
from ._get import serialize as serialize
from ._hashing import HashedCrossing as HashedCrossing
from ._hashing import Hashing as Hashing
from ._input import Input as Input
from ._input import InputLayer as InputLayer
from ._input_spec import InputSpec as InputSpec
from ._layer import Layer as Layer
from ._lookup import IntegerLookup as IntegerLookup
from ._lookup import StringLookup as StringLookup
from ._merging import Add as Add
from ._merging import Average as Average
from ._merging import Concatenate as Concatenate
from ._merging import Dot as Dot
from ._merging import Maximum as Maximum
from ._merging import Minimum as Minimum
from ._merging import Multiply as Multiply
from ._merging import Subtract as Subtract
from ._merging import add as add
from ._merging import average as average
from ._merging import concatenate as concatenate
from ._merging import dot as dot
from ._merging import maximum as maximum
from ._merging import minimum as minimum
from ._merging import multiply as multiply
from ._merging import subtract as subtract
from ._mixing import CutMix as CutMix
from ._mixing import MixUp as MixUp
from ._mixing import RandomErasing as RandomErasing
from ._normalization import BatchNormalization as BatchNormalization
from ._normalization import GroupNormalization as GroupNormalization
from ._normalization import LayerNormalization as LayerNormalization
from ._normalization import RMSNormalization as RMSNormalization
from ._normalization import SpectralNormalization as SpectralNormalization
from ._normalization import UnitNormalization as UnitNormalization
from ._normalization import Wrapper as Wrapper
from ._policies import AugMix as AugMix
from ._policies import RandAugment as RandAugment
from ._pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from ._pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from ._pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from ._pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from ._pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from ._pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from ._pooling import AveragePooling1D as AveragePooling1D
from ._pooling import AveragePooling1D as AvgPool1D
from ._pooling import AveragePooling2D as AveragePooling2D
from ._pooling import AveragePooling2D as AvgPool2D
from ._pooling import AveragePooling3D as AveragePooling3D
from ._pooling import AveragePooling3D as AvgPool3D
from ._pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from ._pooling import GlobalAveragePooling1D as GlobalAvgPool1D
from ._pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from ._pooling import GlobalAveragePooling2D as GlobalAvgPool2D
from ._pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from ._pooling import GlobalAveragePooling3D as GlobalAvgPool3D
from ._pooling import GlobalMaxPooling1D as GlobalMaxPool1D
from ._pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from ._pooling import GlobalMaxPooling2D as GlobalMaxPool2D
from ._pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from ._pooling import GlobalMaxPooling3D as GlobalMaxPool3D
from ._pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from ._pooling import MaxPooling1D as MaxPool1D
from ._pooling import MaxPooling1D as MaxPooling1D
from ._pooling import MaxPooling2D as MaxPool2D
from ._pooling import MaxPooling2D as MaxPooling2D
from ._pooling import MaxPooling3D as MaxPool3D
from ._pooling import MaxPooling3D as MaxPooling3D
from ._preprocessing import Normalization as Normalization
from ._preprocessing import Rescaling as Rescaling
from ._recurrent import GRU as GRU
from ._recurrent import LSTM as LSTM
from ._recurrent import RNN as RNN
from ._recurrent import SimpleRNN as SimpleRNN
from ._regularization import ActivityRegularization as ActivityRegularization
from ._regularization import AlphaDropout as AlphaDropout
from ._regularization import Dropout as Dropout
from ._regularization import GaussianDropout as GaussianDropout
from ._regularization import GaussianNoise as GaussianNoise
from ._regularization import SpatialDropout1D as SpatialDropout1D
from ._regularization import SpatialDropout2D as SpatialDropout2D
from ._regularization import SpatialDropout3D as SpatialDropout3D
from ._reshaping import Cropping1D as Cropping1D
from ._reshaping import Cropping2D as Cropping2D
from ._reshaping import Cropping3D as Cropping3D
from ._reshaping import Flatten as Flatten
from ._reshaping import Permute as Permute
from ._reshaping import RepeatVector as RepeatVector
from ._reshaping import Reshape as Reshape
from ._reshaping import UpSampling1D as UpSampling1D
from ._reshaping import UpSampling2D as UpSampling2D
from ._reshaping import UpSampling3D as UpSampling3D
from ._reshaping import ZeroPadding1D as ZeroPadding1D
from ._reshaping import ZeroPadding2D as ZeroPadding2D
from ._reshaping import ZeroPadding3D as ZeroPadding3D
from ._text import TextVectorization as TextVectorization
from ._wrappers import Bidirectional as Bidirectional
from ._wrappers import TimeDistributed as TimeDistributed

if TYPE_CHECKING:
    from ._geometry import CenterCrop as CenterCrop
    from ._geometry import MaxNumBoundingBoxes as MaxNumBoundingBoxes
    from ._geometry import Pipeline as Pipeline
    from ._geometry import RandomCrop as RandomCrop
    from ._geometry import RandomElasticTransform as RandomElasticTransform
    from ._geometry import RandomFlip as RandomFlip
    from ._geometry import RandomPerspective as RandomPerspective
    from ._geometry import RandomRotation as RandomRotation
    from ._geometry import RandomShear as RandomShear
    from ._geometry import RandomTranslation as RandomTranslation
    from ._geometry import RandomZoom as RandomZoom
    from ._geometry import Resizing as Resizing
else:
    __getattr__, __dir__ = later(
        globals(),
        {
            "_geometry": """
                CenterCrop MaxNumBoundingBoxes Pipeline RandomCrop RandomElasticTransform
                RandomFlip RandomPerspective RandomRotation RandomShear RandomTranslation
                RandomZoom Resizing
            """,
        },
    )
