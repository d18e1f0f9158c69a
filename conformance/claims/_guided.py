"""The guided ReLU of the article, as text that a subject runs."""

from __future__ import annotations

_CLASS = """\
class GuidedBackpropReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        output = {forward}
        ctx.save_for_backward(input, output)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, output = ctx.saved_tensors
        positive_input = (input > 0).type_as(grad_output)
        positive_grad = (grad_output > 0).type_as(grad_output)
        return grad_output * positive_input * positive_grad


"""

GUIDED: dict[str, str] = {
    "clamp": _CLASS.format(forward="torch.clamp(input, min=0.0)"),
    "mask": _CLASS.format(forward="input * (input > 0).type_as(input)"),
}
"""The article's class with each of the two forwards that it calls the same."""
