"""Names of ATen functions (without the `_` of in-place ones) that are convolutions, norms, elementwise functions or
views.
"""


def _names(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


CONVOLUTIONS = _names(
    "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d deform_conv2d",
)
LINEAR = _names("linear addmm")
PRODUCTS = _names("matmul mm")
ATTENTION = _names("scaled_dot_product_attention _native_multi_head_attention softmax _softmax")
NORMS = _names(
    "batch_norm native_batch_norm cudnn_batch_norm miopen_batch_norm _native_batch_norm_legit_no_training",
    "layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm",
)
NONLINEAR = {  # elementwise functions, and clear names for those whose ATen name says little
    **{
        name: name
        for name in _names(
            "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh hardshrink",
            "softshrink softplus sigmoid tanh abs exp square sin cos threshold log_sigmoid sqrt erf log1p expm1 sign",
        )
    },
    **dict.fromkeys(("prelu", "_prelu_kernel"), "prelu"),
    "pow": "power",
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "clip", "maximum", "minimum"), "clamp"),
    "log_sigmoid_forward": "log_sigmoid",
}
ARITHMETIC = _names(  # elementwise functions that are no nonlinearities
    "add sub rsub subtract mul multiply div divide true_divide neg negative addcmul addcdiv lerp where",
    "gt ge lt le eq ne rsqrt reciprocal masked_fill __and__ logical_and logical_not heaviside",
)
MOVING = _names(  # views: they move elements without changing them
    "permute transpose swapaxes swapdims movedim moveaxis view reshape _unsafe_view flatten unflatten t reshape_as",
    "view_as unsqueeze squeeze numpy_T view_copy _reshape_alias mT",
)
SAME_ELEMENTS = MOVING | _names(
    "contiguous clone detach alias lift_fresh to _to_copy type_as float half bfloat16 dropout native_dropout",
    "feature_dropout",
)
POOLING = _names("max_pool2d max_pool2d_with_indices avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d mean amax")
REDUCTIONS = _names(
    "mean sum amax amin max min var var_mean std std_mean prod logsumexp norm linalg_vector_norm any all",
)
AVERAGING = _names("mean sum var std amax norm linalg_vector_norm avg_pool2d avg_pool3d pad expand expand_as")
DIVISIONS = _names("div divide true_divide rsqrt reciprocal")
IN_NORMS = frozenset(("sqrt", "square", "power", "abs", "clamp"))  # nonlinearities in norms that are written by hand
ALIKE = (  # the output has the operands' axes, with another size where elements are pooled
    NORMS
    | frozenset(NONLINEAR)
    | ARITHMETIC
    | (SAME_ELEMENTS - MOVING)
    | POOLING
    | REDUCTIONS
    | _names(
        "softmax _softmax log_softmax _log_softmax glu logit round floor ceil remainder fmod log atan atan2 sinh cosh",
        "avg_pool1d avg_pool3d max_pool1d max_pool3d adaptive_avg_pool1d adaptive_max_pool1d fractional_max_pool2d",
        "pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d max_unpool2d",
        "upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d",
        "_upsample_bilinear2d_aa upsample_bicubic2d _upsample_bicubic2d_aa grid_sampler grid_sampler_2d cumsum",
        "channel_shuffle native_channel_shuffle bernoulli fill zero write nan_to_num isnan",
    )
)
