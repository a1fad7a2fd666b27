"""VGG with 16 layers that have weights: convolutions of 3 x 3 in blocks."""

from ._network import network, preprocessing
from ._vgg import VGG
from .imagenet_utils import decode_predictions as decode_predictions

VGG16 = network(VGG, "VGG16", 138_357_544, blocks=(2, 2, 3, 3, 3))
preprocess_input = preprocessing(VGG)
