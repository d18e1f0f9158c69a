"""Every layer of `torch.nn` that has a function of its own in `torch.nn.functional`."""

from __future__ import annotations

from conformance.claims._activations import ACTIVATIONS
from conformance.claims._layer import RUNNING, Layer
from conformance.claims._losses import LOSSES

_CELLS = {"1": (2, 4, 8), "2": (2, 4, 8, 8), "3": (1, 4, 4, 4, 4)}
_SPATIAL = {"1": (0, 2), "2": (0, 2, 3), "3": (0, 2, 3, 4)}


def _each(name: str, twin: str, *variants: str, keys: tuple[str, ...] = ()) -> tuple[Layer, ...]:
    """The layer in one, two and three dimensions; `#` in a text is the dimension."""
    return tuple(
        Layer(
            name.replace("#", dim),
            _CELLS[dim],
            twin.replace("#", dim),
            variants or ("",),
            _SPATIAL[dim],
            keys=keys,
        )
        for dim in "123"
    )


def _activations() -> tuple[Layer, ...]:
    layers = []
    for activation in ACTIVATIONS.values():
        rank = activation.ranks[-1]
        names = ", ".join(filter(None, ("x", "{arguments}", "training=m.training")))
        call = names if activation.trains else "x, {arguments}"
        layers.append(
            Layer(
                activation.module,
                (2, 3, 4, 5, 2)[:rank],
                f"F.{activation.function}({call})",
                activation.arguments,
                tuple(range(rank)),
            )
        )
    return tuple(layers)


def _elementwise(name: str, twin: str, *variants: str, keys: tuple[str, ...] = ()) -> Layer:
    return Layer(name, (2, 4, 3), twin, variants or ("",), (0, 2), keys=keys)


_NORM = "m.weight, m.bias"
_CONV = "x, m.weight, m.bias, m.stride, m.padding"
_UP = "x, m.weight, m.bias, m.stride, m.padding, m.output_padding, m.groups, m.dilation"
_STATS = "m.running_mean, m.running_var, m.weight, m.bias"
_POOL = "x, m.kernel_size, m.stride, m.padding"

_OTHERS = (
    _elementwise("GELU", "F.gelu(x)"),
    _elementwise("GLU", "F.glu(x, 1)", "1"),
    _elementwise("Hardshrink", "F.hardshrink(x, m.lambd)", "", "0.25"),
    _elementwise("LogSigmoid", "F.logsigmoid(x)"),
    _elementwise("LogSoftmax", "F.log_softmax(x, m.dim)", "1", "0"),
    _elementwise("PReLU", "F.prelu(x, m.weight)", "", "4", keys=("weight",)),
    _elementwise("Sigmoid", "F.sigmoid(x)"),
    _elementwise("Softmax", "F.softmax(x, m.dim)", "1", "0"),
    _elementwise("Softmin", "F.softmin(x, m.dim)", "1", "0"),
    _elementwise("Softplus", "F.softplus(x, m.beta, m.threshold)", "", "2.0, 1.0"),
    _elementwise("Softshrink", "F.softshrink(x, m.lambd)", "", "0.25"),
    _elementwise("Softsign", "F.softsign(x)"),
    _elementwise("Tanh", "F.tanh(x)"),
    _elementwise("Tanhshrink", "F.tanhshrink(x)"),
    *_each(
        "Conv#d",
        f"F.conv#d({_CONV}, m.dilation, m.groups)",
        "4, 6, 3",
        "4, 2, 2, stride=2, padding=1, bias=False",
        "4, 4, 1, groups=2",
        "4, 4, 2, dilation=2",
        keys=("weight", "bias"),
    ),
    *_each(
        "ConvTranspose#d",
        f"F.conv_transpose#d({_UP})",
        "4, 6, 3",
        "4, 2, 3, stride=2, padding=1, output_padding=1, bias=False",
        "4, 4, 2, groups=2",
        keys=("weight", "bias"),
    ),
    *_each(
        "BatchNorm#d",
        f"F.batch_norm(x, {_STATS}, m.training, m.momentum, m.eps)",
        "4",
        "4, momentum=0.5",
        "4, affine=False",
        keys=("weight", "bias", *RUNNING),
    ),
    *_each(
        "InstanceNorm#d",
        f"F.instance_norm(x, {_STATS}, m.training or m.running_mean is None, m.momentum, m.eps)",
        "4",
        "4, affine=True",
        "4, track_running_stats=True",
    ),
    *_each("AvgPool#d", f"F.avg_pool#d({_POOL})", "2", "2, stride=1", "3, padding=1"),
    *_each("MaxPool#d", f"F.max_pool#d({_POOL})", "2", "2, stride=1", "3, padding=1"),
    *_each("AdaptiveAvgPool#d", "F.adaptive_avg_pool#d(x, m.output_size)", "2", "3"),
    *_each("AdaptiveMaxPool#d", "F.adaptive_max_pool#d(x, m.output_size)", "2", "3"),
    *_each("LPPool#d", "F.lp_pool#d(x, m.norm_type, m.kernel_size, m.stride)", "2, 2", "3, 2"),
    *_each("CircularPad#d", 'F.pad(x, m.padding, "circular")', "1", "2"),
    *_each("ConstantPad#d", 'F.pad(x, m.padding, "constant", m.value)', "1, 2.5", "2, 0.0"),
    *_each("ReflectionPad#d", 'F.pad(x, m.padding, "reflect")', "1", "2"),
    *_each("ReplicationPad#d", 'F.pad(x, m.padding, "replicate")', "1", "2"),
    *_each("ZeroPad#d", 'F.pad(x, m.padding, "constant", 0.0)', "1", "2"),
    *(
        Layer(
            f"MaxUnpool{dim}d",
            _CELLS[dim],
            f"F.max_unpool{dim}d(x, indices, m.kernel_size, m.stride, m.padding)",
            ("2",),
            (0,),
            "x, indices",
            f"x, indices = F.max_pool{dim}d(x, 2, return_indices=True)",
        )
        for dim in "123"
    ),
    *(
        Layer(
            f"FractionalMaxPool{dim}d",
            _CELLS[dim],
            f"F.fractional_max_pool{dim}d(x, m.kernel_size, m.output_size)",
            ("2, output_size=2", "1, output_size=3"),
            _SPATIAL[dim],
        )
        for dim in "23"
    ),
    Layer(
        "Linear",
        (2, 3, 4),
        "F.linear(x, m.weight, m.bias)",
        ("4, 5", "4, 1, bias=False"),
        (0, 1),
        keys=("weight", "bias"),
    ),
    Layer(
        "Bilinear",
        (2, 4),
        "F.bilinear(x, x * 2, m.weight, m.bias)",
        ("4, 4, 3", "4, 4, 1, bias=False"),
        call="x, x * 2",
        keys=("weight", "bias"),
    ),
    Layer(
        "GroupNorm",
        (2, 4, 5),
        f"F.group_norm(x, m.num_groups, {_NORM}, m.eps)",
        ("2, 4", "1, 4, affine=False"),
        (0, 2),
        keys=("weight", "bias"),
    ),
    Layer(
        "LayerNorm",
        (2, 3, 4),
        f"F.layer_norm(x, m.normalized_shape, {_NORM}, m.eps)",
        ("4", "(3, 4)", "4, elementwise_affine=False"),
        keys=("weight", "bias"),
    ),
    Layer(
        "RMSNorm",
        (2, 3, 4),
        "F.rms_norm(x, m.normalized_shape, m.weight, m.eps)",
        ("4", "4, elementwise_affine=False"),
        keys=("weight",),
    ),
    Layer(
        "LocalResponseNorm",
        (2, 4, 5),
        "F.local_response_norm(x, m.size, m.alpha, m.beta, m.k)",
        ("2", "3, alpha=0.5, beta=0.5, k=2.0"),
        (0, 2),
    ),
    Layer(
        "ChannelShuffle",
        (2, 4, 3, 3),
        "F.channel_shuffle(x, m.groups)",
        ("2",),
        (0, 2, 3),
        error=("derivative for channel_shuffle is not implemented", "channel-shuffle-underived"),
    ),
    Layer("PixelShuffle", (2, 4, 3, 3), "F.pixel_shuffle(x, 2)", ("2",), (0, 2, 3)),
    Layer("PixelUnshuffle", (2, 2, 4, 4), "F.pixel_unshuffle(x, 2)", ("2",), (0, 1)),
    Layer("Fold", (2, 8, 9), "F.fold(x, (4, 4), 2)", ("(4, 4), 2",), (0,)),
    Layer("Unfold", (2, 3, 4, 4), "F.unfold(x, 2)", ("2",), (0, 1, 2, 3)),
    Layer(
        "Upsample",
        (2, 3, 4, 4),
        "F.interpolate(x, scale_factor=2, mode=m.mode)",
        ("scale_factor=2", 'scale_factor=2, mode="bilinear"'),
        (0, 1, 2, 3),
    ),
    Layer(
        "UpsamplingBilinear2d",
        (2, 3, 4, 4),
        'F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)',
        ("scale_factor=2",),
        (0, 1, 2, 3),
    ),
    Layer(
        "UpsamplingNearest2d",
        (2, 3, 4, 4),
        "F.interpolate(x, scale_factor=2)",
        ("scale_factor=2",),
        (0, 1, 2, 3),
    ),
    Layer(
        "Embedding",
        (2, 4),
        "F.embedding(index, m.weight, m.padding_idx)",
        ("5, 3", "5, 3, padding_idx=1"),
        (0, 1),
        "index",
        "index = (x.abs() * 10).long() % 5",
        ("weight",),
        differentiable=False,
    ),
    Layer(
        "EmbeddingBag",
        (2, 4),
        "F.embedding_bag(index, m.weight, mode=m.mode)",
        ("5, 3", '5, 3, mode="sum"'),
        (0, 1),
        "index",
        "index = (x.abs() * 10).long() % 5",
        ("weight",),
        differentiable=False,
    ),
    Layer(
        "MultiheadAttention",
        (3, 2, 4),
        "F.multi_head_attention_forward(x, x, x, 4, 2, m.in_proj_weight, m.in_proj_bias, None, "
        "None, False, m.dropout, m.out_proj.weight, m.out_proj.bias, training=m.training)",
        ("4, 2", "4, 2, dropout=0.5"),
        (0, 1),
        "x, x, x",
        keys=("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"),
    ),
)


LAYERS: dict[str, Layer] = {layer.name: layer for layer in (*_activations(), *_OTHERS, *LOSSES)}
"""Name -> layer, of every layer with a function of its own."""


_MANY = "it is a network of several operations, and no function does the same"
_HOLDS = "it holds other layers or parameters"
_LAZY = "it becomes the layer of the same name at its first call"
WITHOUT_TWIN: dict[str, str] = {
    **dict.fromkeys("RNN RNNBase RNNCell RNNCellBase LSTM LSTMCell GRU GRUCell".split(), _MANY),
    **dict.fromkeys(
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
        "TransformerEncoderLayer AdaptiveLogSoftmaxWithLoss CrossMapLRN2d".split(),
        _MANY,
    ),
    **dict.fromkeys(
        "Container DataParallel Module ModuleDict ModuleList ParameterDict ParameterList "
        "Sequential".split(),
        _HOLDS,
    ),
    **{
        f"Lazy{kind}{dim}d": _LAZY
        for kind in ("BatchNorm", "Conv", "ConvTranspose", "InstanceNorm")
        for dim in "123"
    },
    "LazyLinear": _LAZY,
    "Flatten": "its function is torch.flatten",
    "Unflatten": "its function is Tensor.unflatten",
    "Identity": "it computes nothing",
    "Softmax2d": "it is a softmax over the channels, and has no function of its own",
    "SyncBatchNorm": "it needs a group of processes",
}
"""Layers that have no function of their own: name -> why."""
