"""The layer table: a row for each case of each layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.ops.rows import A


@dataclass
class Row:
    """One case of one layer.

    Args:
        layer: The class's name in `keras.layers`.
        inputs: The arrays that the layer is called on; a list where it takes a list.
        args: The constructor's arguments; a call `f(layers)` where they hold other layers.
        call: More arguments of the call, arrays among them.
        training: Whether outputs in training are compared too (nothing random in them).
        tolerance: Absolute and relative.
        excluded: Checks that don't apply, with the reason.
    """

    layer: str
    inputs: Any
    args: Any = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    training: bool = True
    tolerance: float = 2e-5
    excluded: dict[str, str] = field(default_factory=dict)

    def arguments(self, layers: Any) -> dict[str, Any]:
        """The constructor's arguments, for Cornu's layers or Keras's."""
        return dict(self.args(layers)) if callable(self.args) else dict(self.args)


V = A(3, 4)
S = A(2, 6, 4)
I = A(2, 7, 8, 3)  # noqa: E741
X = A(2, 5, 6, 4, 2)
SOUND, STEREO = A(2, 40), A(2, 20, 2)
MEL = {"fft_length": 16, "sequence_stride": 8, "num_mel_bins": 5, "sampling_rate": 8000}
NARROW = {"excluded": {"mixed_bfloat16": "Keras refuses inputs of bfloat16"}}
RANDOM = {"training": False}
ORTHOGONAL = {"excluded": {"float16": "Keras draws orthogonal matrices in float32 alone"}}

ROWS = [
    Row("Dense", V, {"units": 5}),
    Row("Dense", S, {"units": 5, "activation": "relu", "use_bias": False}),
    Row("Dense", V, {"units": 2, "kernel_regularizer": "l2", "bias_constraint": "non_neg"}),
    Row("EinsumDense", V, {"equation": "ab,bc->ac", "output_shape": 6, "bias_axes": "c"}),
    Row("EinsumDense", S, {"equation": "abc,cd->abd", "output_shape": (None, 5), "bias_axes": "d"}),
    Row("EinsumDense", S, {"equation": "...x,xy->...y", "output_shape": 5, "bias_axes": "y"}),
    Row(
        "EinsumDense",
        S,
        {
            "equation": "abc,cde->abde",
            "output_shape": (None, 2, 3),
            "bias_axes": "de",
            "activation": "tanh",
        },
    ),
    Row("Embedding", A(3, 5, dtype="int32", low=0, high=7), {"input_dim": 7, "output_dim": 4}),
    Row(
        "Embedding",
        A(3, 5, dtype="int32", low=0, high=7),
        {"input_dim": 7, "output_dim": 4, "mask_zero": True},
    ),
    Row(
        "ReversibleEmbedding",
        A(3, 5, dtype="int32", low=0, high=7),
        {"input_dim": 7, "output_dim": 4},
    ),
    Row(
        "ReversibleEmbedding",
        A(3, 5, 4),
        {"input_dim": 7, "output_dim": 4, "logit_soft_cap": 2.0},
        {"reverse": True},
        excluded={"masks": "a mask of zeros is meant for integers"},
    ),
    Row("Activation", V, {"activation": "gelu"}),
    Row("Identity", V),
    Row("Masking", A(2, 3, 4, low=-0.2, high=3.0), {"mask_value": 0.0}),
    Row("ReLU", V, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    Row("LeakyReLU", V),
    Row("PReLU", S, {"shared_axes": [1], "alpha_initializer": "ones"}),
    Row("ELU", V, {"alpha": 0.5}),
    Row("Softmax", S, {"axis": 1}, excluded={"masks": "its mask has the shape of the inputs"}),
    Row("Flatten", I),
    Row("Flatten", I, {"data_format": "channels_first"}),
    Row("Reshape", S, {"target_shape": (3, -1)}),
    Row("Permute", I, {"dims": (3, 1, 2)}),
    Row("RepeatVector", V, {"n": 3}),
    Row("ZeroPadding1D", S, {"padding": (1, 2)}),
    Row("ZeroPadding2D", I, {"padding": ((1, 0), (2, 1))}),
    Row("ZeroPadding2D", I, {"padding": 1, "data_format": "channels_first"}),
    Row("ZeroPadding3D", X, {"padding": 1}),
    Row("Cropping1D", S, {"cropping": (1, 2)}),
    Row("Cropping2D", I, {"cropping": ((1, 0), (2, 1))}),
    Row("Cropping3D", X, {"cropping": 1}),
    Row("UpSampling1D", S, {"size": 3}),
    Row("UpSampling2D", I, {"size": (2, 3)}),
    Row("UpSampling2D", I, {"size": (2, 3), "interpolation": "bilinear"}),
    Row("UpSampling3D", X, {"size": (1, 2, 1)}),
    Row("Add", [V, V, V]),
    Row("Add", [S, S]),
    Row("Add", [A(2, 3, 4), A(2, 1, 4)]),
    Row("Subtract", [V, V]),
    Row("Multiply", [S, S]),
    Row("Average", [V, V]),
    Row("Maximum", [V, V]),
    Row("Minimum", [V, V]),
    Row("Concatenate", [S, A(2, 6, 3)]),
    Row("Concatenate", [S, A(2, 5, 4)], {"axis": 1}),
    Row("Dot", [A(3, 4), A(3, 4)], {"axes": 1}),
    Row("Dot", [A(3, 2, 4), A(3, 5, 4)], {"axes": (2, 2), "normalize": True}),
    Row("Dropout", V, {"rate": 0.4, "seed": 1}, **RANDOM),
    Row("SpatialDropout1D", S, {"rate": 0.4}, **RANDOM),
    Row("SpatialDropout2D", I, {"rate": 0.4}, **RANDOM),
    Row("SpatialDropout3D", X, {"rate": 0.4}, **RANDOM),
    Row("AlphaDropout", V, {"rate": 0.4}, **RANDOM),
    Row("GaussianDropout", V, {"rate": 0.4}, **RANDOM),
    Row("GaussianNoise", V, {"stddev": 0.4}, **RANDOM),
    Row("ActivityRegularization", V, {"l1": 0.1, "l2": 0.2}),
    Row("Conv1D", S, {"filters": 5, "kernel_size": 3}),
    Row("Conv1D", S, {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    Row(
        "Conv1D",
        S,
        {"filters": 4, "kernel_size": 3, "padding": "same", "groups": 2, "activation": "relu"},
    ),
    Row("Conv2D", I, {"filters": 5, "kernel_size": 3}),
    Row("Conv2D", I, {"filters": 5, "kernel_size": (2, 3), "padding": "same", "strides": 2}),
    Row("Conv2D", A(2, 3, 7, 8), {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}),
    Row("Conv3D", X, {"filters": 3, "kernel_size": 2, "use_bias": False}),
    Row("Conv1DTranspose", S, {"filters": 5, "kernel_size": 3, "strides": 2}),
    Row("Conv2DTranspose", I, {"filters": 5, "kernel_size": 3, "padding": "same", "strides": 2}),
    Row("Conv2DTranspose", I, {"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 1}),
    Row("Conv3DTranspose", X, {"filters": 3, "kernel_size": 2, "strides": 2}),
    Row("DepthwiseConv1D", S, {"kernel_size": 3, "depth_multiplier": 2}),
    Row("DepthwiseConv2D", I, {"kernel_size": 3, "padding": "same"}),
    Row(
        "DepthwiseConv2D",
        I,
        {"kernel_size": 3, "strides": 2, "depth_multiplier": 2, "activation": "relu"},
    ),
    Row("SeparableConv1D", S, {"filters": 5, "kernel_size": 3}),
    Row(
        "SeparableConv2D",
        I,
        {"filters": 5, "kernel_size": 3, "padding": "same", "depth_multiplier": 2},
    ),
    Row("MaxPooling1D", S),
    Row("MaxPooling2D", I, {"pool_size": 3, "strides": 2, "padding": "same"}),
    Row("MaxPooling2D", A(2, 3, 7, 8), {"data_format": "channels_first"}),
    Row("MaxPooling3D", X),
    Row("AveragePooling1D", S, {"pool_size": 2}),
    Row("AveragePooling2D", I, {"pool_size": 3, "strides": 2, "padding": "same"}),
    Row("AveragePooling3D", X, {"pool_size": 2}),
    Row("GlobalAveragePooling1D", S),
    Row("GlobalAveragePooling2D", I, {"keepdims": True}),
    Row("GlobalAveragePooling3D", X),
    Row("GlobalMaxPooling1D", S, {"data_format": "channels_first"}),
    Row("GlobalMaxPooling2D", I),
    Row("GlobalMaxPooling3D", X),
    Row(
        "AdaptiveAveragePooling2D",
        I,
        {"output_size": (3, 4)},
        excluded={"unknown": "windows follow from the size"},
    ),
    Row(
        "AdaptiveMaxPooling1D",
        S,
        {"output_size": 3},
        excluded={"unknown": "windows follow from the size"},
    ),
    Row("BatchNormalization", V),
    Row("BatchNormalization", I, {"axis": 1, "momentum": 0.5, "scale": False}),
    Row(
        "BatchNormalization",
        S,
        {"renorm": True, "renorm_clipping": {"rmax": 2.0, "rmin": 0.5, "dmax": 1.0}},
    ),
    Row("LayerNormalization", S),
    Row("LayerNormalization", I, {"axis": [1, 2], "epsilon": 1e-5, "center": False}),
    Row("LayerNormalization", I, {"axis": [-1, -3]}),
    Row("GroupNormalization", S, {"groups": 2}),
    Row("GroupNormalization", I, {"groups": -1, "scale": False}),
    Row("RMSNormalization", S),
    Row("RMSNormalization", I, {"axis": (3, 2, 1)}),
    Row("UnitNormalization", S, {"axis": 1}),
    Row("SpectralNormalization", V, lambda layers: {"layer": layers.Dense(3, name="inner")}),
    Row("SimpleRNN", S, {"units": 3, "return_sequences": True}, **ORTHOGONAL),
    Row("SimpleRNN", S, {"units": 3, "go_backwards": True, "activation": "relu"}, **ORTHOGONAL),
    Row("LSTM", S, {"units": 3}, **ORTHOGONAL),
    Row(
        "LSTM",
        S,
        {"units": 3, "return_sequences": True, "return_state": True, "unroll": True},
        excluded={"float16": "as ORTHOGONAL", "unknown": "steps are written out one by one"},
    ),
    Row("LSTM", S, {"units": 3, "unit_forget_bias": False, "go_backwards": True}, **ORTHOGONAL),
    Row("GRU", S, {"units": 3}, **ORTHOGONAL),
    Row("GRU", S, {"units": 3, "return_sequences": True, "reset_after": False}, **ORTHOGONAL),
    Row(
        "RNN", S, lambda layers: {"cell": layers.GRUCell(3), "return_sequences": True}, **ORTHOGONAL
    ),
    Row(
        "RNN",
        S,
        lambda layers: {"cell": [layers.LSTMCell(3), layers.SimpleRNNCell(2)]},
        **ORTHOGONAL,
    ),
    Row("ConvLSTM1D", A(2, 4, 6, 2), {"filters": 3, "kernel_size": 3, "strides": 2}, **ORTHOGONAL),
    Row(
        "ConvLSTM2D",
        A(2, 3, 5, 4, 2),
        {
            "filters": 2,
            "kernel_size": (3, 2),
            "padding": "same",
            "return_sequences": True,
            "return_state": True,
            "go_backwards": True,
        },
        **ORTHOGONAL,
    ),
    Row(
        "ConvLSTM2D",
        A(2, 3, 2, 5, 4),
        {"filters": 2, "kernel_size": 2, "data_format": "channels_first", "dilation_rate": 2},
        **ORTHOGONAL,
    ),
    Row("ConvLSTM3D", A(1, 2, 3, 4, 3, 1), {"filters": 2, "kernel_size": 2}, **ORTHOGONAL),
    Row("Bidirectional", S, lambda layers: {"layer": layers.LSTM(3, name="inner")}, **ORTHOGONAL),
    Row(
        "Bidirectional",
        S,
        lambda layers: {"layer": layers.GRU(3, return_sequences=True), "merge_mode": "sum"},
        **ORTHOGONAL,
    ),
    Row("TimeDistributed", S, lambda layers: {"layer": layers.Dense(3)}),
    Row("TimeDistributed", X, lambda layers: {"layer": layers.Conv2D(3, 2)}),
    Row("Attention", [S, A(2, 5, 4)]),
    Row("Attention", [A(2, 3, 6, 4), A(2, 3, 5, 4)]),
    Row("Attention", [S, A(2, 5, 4)], {"use_scale": True, "score_mode": "concat"}),
    Row("AdditiveAttention", [S, A(2, 5, 4), A(2, 5, 4)]),
    Row("AdditiveAttention", [A(2, 3, 6, 4), A(2, 3, 5, 4)]),
    Row("MultiHeadAttention", S, {"num_heads": 2, "key_dim": 3}, {"value": A(2, 5, 4)}),
    Row(
        "MultiHeadAttention",
        S,
        {"num_heads": 2, "key_dim": 3, "use_gate": True, "output_shape": 7},
        {"value": A(2, 6, 4), "use_causal_mask": True},
    ),
    Row(
        "MultiHeadAttention",
        S,
        {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_bias": False},
        {"value": A(2, 6, 4), "return_attention_scores": True},
        excluded={"masks": "Keras also marks the scores, with the mask of attention"},
    ),
    Row(
        "MultiHeadAttention",
        A(2, 3, 5, 4),
        {"num_heads": 2, "key_dim": 3, "attention_axes": (1, 2)},
        {"value": A(2, 3, 4, 4)},
    ),
    Row(
        "GroupQueryAttention",
        S,
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        {"value": A(2, 5, 4)},
    ),
    Row(
        "GroupQueryAttention",
        S,
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        {"value": A(2, 5, 4), "return_attention_scores": True},
        excluded={"masks": "Keras also marks the scores, with the mask of attention"},
    ),
    Row("Rescaling", V, {"scale": 2.0, "offset": 1.0}),
    Row("Normalization", V, {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0, 4.0, 9.0, 16.0]}),
    Row("Resizing", I, {"height": 4, "width": 5}),
    Row("Resizing", I, {"height": 9, "width": 5, "interpolation": "nearest"}),
    Row("MelSpectrogram", SOUND, {**MEL, "window": None, "ref_power": 2.0}, tolerance=1e-3),
    Row(
        "STFTSpectrogram",
        STEREO,
        {"mode": "psd", "frame_length": 6, "fft_length": 8, "frame_step": 2, "padding": "same"},
        tolerance=1e-4,
        **NARROW,
    ),
    Row(
        "STFTSpectrogram",
        A(2, 2, 20),
        {"mode": "stft", "frame_length": 8, "data_format": "channels_first", "scaling": None},
        tolerance=1e-4,
        **NARROW,
    ),
]
