"""ResNet v2: as ResNet, with norms and activations before convolutions."""

from ._network import network, preprocessing
from ._resnets import ResNetV2
from .imagenet_utils import decode_predictions as decode_predictions

ResNet50V2 = network(ResNetV2, "ResNet50V2", 25_613_800, blocks=(3, 4, 6, 3))
ResNet101V2 = network(ResNetV2, "ResNet101V2", 44_675_560, blocks=(3, 4, 23, 3))
ResNet152V2 = network(ResNetV2, "ResNet152V2", 60_380_648, blocks=(3, 8, 36, 3))
preprocess_input = preprocessing(ResNetV2)
