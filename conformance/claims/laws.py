"""What the cases of each claim are held to, in words: the sentence as a test can check it."""

from __future__ import annotations

LAWS = {
    "no-error-means-correct": "A program raises exactly where the model says, or every value and "
    "every gradient equals the jax oracle's.",
    "relu-default": "Whatever has a parameter inplace has the default False for it.",
    "relu-input-changed": "After f(x, inplace=True) the memory of x holds the result; after f(x) "
    "and f(x, inplace=False) x is as it was.",
    "relu-gradient-same": "A program with inplace=True and the same program without it give every "
    "leaf the same gradient.",
    "relu-golden": "The article's figures come out with inplace=False, with inplace=True and by "
    "default.",
    "module-equals-functional": "A layer and its function give the same outputs and the same "
    "gradients, bit for bit, alone and in networks.",
    "functional-is-stateless": "A layer without parameters adds nothing to state_dict, and a call "
    "of its function keeps nothing.",
    "inplace-same-storage": "The method or operator returns the very tensor, in the same storage "
    "at the same address.",
    "functional-leaves-operands": "Values, versions and memory of the operands are as before, and "
    "the result is a new tensor.",
    "inplace-equals-functional": "x.op_(y) leaves in x what x.op(y) returns for a copy of x.",
    "gradients-in-every-dtype": "The gradients of x and y are the same numbers in place as out of "
    "place.",
    "leaf-inplace-raises": "The write raises, and values, version and flags of the leaf are as "
    "before.",
    "saved-inplace-raises": "Backward raises exactly if a node that it executes finds a saved "
    "tensor at another version than the one at which it was saved.",
    "inplace-saves-memory": "During the call no memory of the activation's size is allocated.",
    "rebinding-is-not-inplace": "x = x + 1 leaves the old tensor as it was; x += 1 writes into it.",
    "guided-relu": "Forward is ReLU's; backward is ReLU's where the incoming gradient is positive, "
    "and zero elsewhere.",
    "guided-golden": "The article's loss and masks come out for both signs of the loss.",
    "no-grad-result": "A fresh result of no_grad has requires_grad=False and no grad_fn, and its "
    "backward() raises.",
    "no-grad-truncates": "A leaf behind nothing but results of no_grad keeps grad None.",
    "no-grad-other-paths": "The gradient of a leaf is that of the paths around the region alone.",
    "no-grad-golden": "The article's figures come out, in two separate runs.",
    "no-grad-inplace": "The value is that after the write, and the gradient that of the program "
    "without it.",
    "detach-shares": "A write through either side is seen on both, with one version.",
    "float-only-grad": "Asking for a gradient succeeds for floating-point and complex dtypes and "
    "raises for all others, however it is asked.",
    "errata-names": "F.ReLU, nn.ReLu, inpalce and an in-place .scatter() do not exist.",
    "kink-gradients": "At each kink the gradient is the number that torch's formula gives, in "
    "place as out of place.",
    "special-numbers": "Each operation by itself gives the values and gradients that its formula "
    "gives in jax, NaN included.",
    "transformed-same": "Values, gradients and input mutations equal the jax oracle's, and "
    "requires_grad, leaves and memory are what the model says; or an error comes, wherever, where "
    "the model says one.",
    "random-fill-cuts-gradient": "The gradient of what the target was computed from is zeros, and "
    "the numbers are the generator's.",
    "complex-gradients": "The gradient of a real loss is dL/dx + i dL/dy.",
    "errata-complex-grad": "Complex tensors can require grad, and integer ones cannot.",
    "errata-guided-forwards": "Clamping and masking agree at every finite input, and differ at "
    "minus infinity.",
    "errata-leaf-in-no-grad": "A leaf that requires grad is refused outside no_grad and written "
    "inside.",
}
"""Claim -> what must be true of every case within its scope."""
