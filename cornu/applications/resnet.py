"""ResNet: each block adds what it finds to its input."""

from ._network import network, preprocessing
from ._resnets import ResNet
from .imagenet_utils import decode_predictions as decode_predictions

ResNet50 = network(ResNet, "ResNet50", 25_636_712, blocks=(3, 4, 6, 3))
ResNet101 = network(ResNet, "ResNet101", 44_707_176, blocks=(3, 4, 23, 3))
ResNet152 = network(ResNet, "ResNet152", 60_419_944, blocks=(3, 8, 36, 3))
preprocess_input = preprocessing(ResNet)
