"""Losses and distances of `torch.nn`, with their functions."""

from __future__ import annotations

from conformance.claims._layer import Layer

_REAL = "target = x.detach().flip(0) * 0.5"
_SIGNS = "target = torch.ones_like(x); target[x < 0] = -1"
_PART = "x = torch.sigmoid(x)\ntarget = (x.detach().flip(0) > 0.5).to(x.dtype)"
_CLASSES = "target = torch.arange(x.shape[0], device=DEVICE) % x.shape[1]"
_REDUCTIONS = ("", 'reduction="sum"', 'reduction="none"')


def _loss(
    name: str,
    function: str,
    setup: str,
    *variants: str,
    shape: tuple[int, ...] = (3, 4),
    call: str = "x, target",
    more: str = "",
) -> Layer:
    return Layer(
        name,
        shape,
        f"F.{function}({call}{more}, reduction=m.reduction)",
        (*_REDUCTIONS, *variants),
        (0,),
        call,
        setup,
    )


LOSSES: tuple[Layer, ...] = (
    _loss("BCELoss", "binary_cross_entropy", _PART),
    _loss("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", _PART),
    _loss(
        "CosineEmbeddingLoss",
        "cosine_embedding_loss",
        "other = x.detach().flip(0)\ntarget = torch.ones_like(x[:, 0])",
        call="x, other, target",
        more=", m.margin",
    ),
    _loss("CrossEntropyLoss", "cross_entropy", _CLASSES),
    _loss(
        "CTCLoss",
        "ctc_loss",
        "x = F.log_softmax(x, 2)\n"
        "target = torch.tensor([[1, 2], [2, 1]], device=DEVICE)\n"
        "lengths = torch.full((2,), x.shape[0], dtype=torch.long)\n"
        "targets = torch.full((2,), 2, dtype=torch.long)",
        shape=(5, 2, 3),
        call="x, target, lengths, targets",
    ),
    _loss(
        "GaussianNLLLoss",
        "gaussian_nll_loss",
        _REAL + "\nvariance = torch.ones_like(x)",
        "full=True",
        call="x, target, variance",
        more=", full=m.full, eps=m.eps",
    ),
    _loss("HingeEmbeddingLoss", "hinge_embedding_loss", _SIGNS, "0.5", more=", m.margin"),
    _loss("HuberLoss", "huber_loss", _REAL, "delta=0.5", more=", delta=m.delta"),
    _loss("KLDivLoss", "kl_div", "x = F.log_softmax(x, 1)\ntarget = x.detach().flip(0).exp()"),
    _loss("L1Loss", "l1_loss", _REAL),
    _loss(
        "MarginRankingLoss",
        "margin_ranking_loss",
        "other = x.detach().flip(0)\n" + _SIGNS,
        "0.5",
        call="x, other, target",
        more=", m.margin",
    ),
    _loss("MSELoss", "mse_loss", _REAL),
    _loss(
        "MultiLabelMarginLoss",
        "multilabel_margin_loss",
        "target = torch.full(x.shape, -1, dtype=torch.long, device=DEVICE)\ntarget[:, 0] = 2",
    ),
    _loss(
        "MultiLabelSoftMarginLoss",
        "multilabel_soft_margin_loss",
        "target = (x.detach().flip(0) > 0).to(x.dtype)",
    ),
    _loss("MultiMarginLoss", "multi_margin_loss", _CLASSES, "2", more=", m.p, m.margin"),
    _loss("NLLLoss", "nll_loss", "x = F.log_softmax(x, 1)\n" + _CLASSES),
    _loss(
        "NLLLoss2d",
        "nll_loss",
        "x = F.log_softmax(x, 1)\n"
        "target = torch.ones(x.shape[0], 2, 2, dtype=torch.long, device=DEVICE)",
        shape=(2, 3, 2, 2),
    ),
    _loss("PoissonNLLLoss", "poisson_nll_loss", _REAL, "full=True", more=", full=m.full"),
    _loss("SmoothL1Loss", "smooth_l1_loss", _REAL),
    _loss("SoftMarginLoss", "soft_margin_loss", _SIGNS),
    _loss(
        "TripletMarginLoss",
        "triplet_margin_loss",
        "positive, negative = x.detach() * 2, x.detach().flip(0)",
        "0.5",
        call="x, positive, negative",
        more=", m.margin",
    ),
    _loss(
        "TripletMarginWithDistanceLoss",
        "triplet_margin_with_distance_loss",
        "positive, negative = x.detach() * 2, x.detach().flip(0)",
        "margin=0.5",
        call="x, positive, negative",
        more=", margin=m.margin",
    ),
    Layer(
        "LinearCrossEntropyLoss",
        (3, 4),
        "F.linear_cross_entropy(x, m.linear.weight, target, linear_bias=m.linear.bias, "
        "reduction=m.reduction)",
        ("4, 5", '4, 5, reduction="sum"'),
        (0,),
        "x, target",
        "target = torch.arange(x.shape[0], device=DEVICE) % 5",
        ("linear.weight",),
    ),
    Layer(
        "CosineSimilarity",
        (3, 4),
        "F.cosine_similarity(x, other, m.dim, m.eps)",
        ("", "0"),
        (0, 1),
        "x, other",
        "other = x.detach().flip(0)",
    ),
    Layer(
        "PairwiseDistance",
        (3, 4),
        "F.pairwise_distance(x, other, m.norm, m.eps, m.keepdim)",
        ("", "1.0", "keepdim=True"),
        (0, 1),
        "x, other",
        "other = x.detach().flip(0)",
    ),
)
