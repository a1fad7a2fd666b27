"""VGG with 19 layers that have weights: convolutions of 3 x 3 in blocks."""

from ._network import network, preprocessing
from ._vgg import VGG
from .imagenet_utils import decode_predictions as decode_predictions

VGG19 = network(VGG, "VGG19", 143_667_240, blocks=(2, 2, 4, 4, 4))
preprocess_input = preprocessing(VGG)
