"""The statements that the script of a program in a mode begins with.

They define what stands in `strategies.transforms`: `transformed`, `called`, or what else a mode
needs.
"""

from __future__ import annotations

CHECKPOINTED = """\
from torch.utils.checkpoint import checkpoint
transformed = lambda function: lambda *tensors: checkpoint(function, *tensors, use_reentrant={})\
"""
WITHIN = """\
def transformed(function):
    def call(*tensors):
        with torch.autograd.graph.{}:
            return function(*tensors)
    return call\
"""
HOOKS = """\
def hooked(given):
    for tensor in given if isinstance(given, tuple) else (given,):
        # To look for the node of a view may make it anew.
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad and not tensor._is_view():
            tensor.register_hook(lambda gradient: None)
            if tensor.grad_fn is None:
                tensor.register_post_accumulate_grad_hook(lambda tensor: None)
            else:
                tensor.grad_fn.register_prehook(lambda gradients: None)
                tensor.grad_fn.register_hook(lambda before, after: None)
    return given
def transformed(function):
    return lambda *tensors: hooked(function(*hooked(tensors)))\
"""
_MODULE = """\
class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def forward(self, *tensors):
        return self.function(*tensors)
"""
MODULES = f"""\
{_MODULE}def transformed(function):
    module = Function(function)
    module.register_forward_pre_hook(lambda module, given: None)
    module.register_forward_hook(lambda module, given, made: None)
    return module\
"""
DETERMINISTIC = """\
from contextlib import contextmanager
@contextmanager
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)\
"""
AT_ONCE = 3
"""How many threads run at once."""
_TOGETHER = """\
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
def together(works):
    start = Barrier(len(works))
    def run(work):
        start.wait()
        return work()
    with ThreadPoolExecutor(len(works)) as threads:
        runs = [threads.submit(run, work) for work in works]
    return [one.result() for one in runs]
"""
THREADS = f"""\
{_TOGETHER}\
def transformed(function):
    return lambda *tensors: together([lambda: function(*tensors)])[0]
waiting = []
def called(function):
    # Copies of the program stand side by side: the last to call runs the backward of all of them.
    waiting.append(function)
    return at_once if len(waiting) == {AT_ONCE} else lambda: None
def at_once():
    works = waiting[:]
    waiting.clear()
    together(works)\
"""
SHARING = f"""\
{_TOGETHER}\
def sharing(roots, cotangents, leaves):
    options = {{"retain_graph": True, "allow_unused": True}}
    work = lambda: torch.autograd.grad(roots, leaves, cotangents, **options)
    made = [one for found in together([work] * {AT_ONCE}) for one in zip(found, leaves)]
    return [torch.zeros_like(leaf.data) if one is None else one for one, leaf in made]\
"""
PLAIN = """\
def plain(made):
    return made if isinstance(made, tuple) else (made,)
def kept(tensor):
    memory = tensor.detach().untyped_storage().clone()
    place = tensor.storage_offset(), tensor.shape, tensor.stride()
    return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(memory, *place)
def transformed(function):
    work = lambda *tensors: plain(function(*tensors))
    class Differentiated(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*map(kept, tensors))
            ctx.set_materialize_grads(False)
            made = work(*tensors)
            # A view would be one of what the function made, which autograd does not know.
            return tuple(one.clone() if one._is_view() else one for one in made)
        @staticmethod
        def backward(ctx, *gradients):
            asked = [place for place, one in enumerate(gradients) if one is not None]
            of_these = lambda *given: tuple(work(*given)[place] for place in asked)
            weights = tuple(gradients[place] for place in asked)
            return derived(of_these, ctx.saved_tensors, weights, ctx.needs_input_grad)
    def call(*tensors):
        made = Differentiated.apply(*tensors)
        return made if len(made) > 1 else made[0]
    return call
"""
"""A custom function that keeps copies of its inputs, and is differentiated by `derived`."""
WRITTEN = """\
def plain(made):
    return () if made is None else made if isinstance(made, tuple) else (made,)
def kept(tensor):
    memory = tensor.detach().untyped_storage().clone()
    place = tensor.storage_offset(), tensor.shape, tensor.stride()
    return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(memory, *place)
def again(function, given, asked, dirty):
    leaves = [kept(tensor).requires_grad_(asks) for tensor, asks in zip(given, asked)]
    with torch.enable_grad():
        # A leaf that requires grad may not be written, and so a copy of it is.
        inputs = [kept(x).copy_(x) if place in dirty else x for place, x in enumerate(leaves)]
        made = plain(function(*inputs))
    return leaves, [inputs[place] for place in dirty] + list(made)
def transformed(function):
    class Writing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            saved = list(map(kept, tensors))
            ctx.save_for_backward(*saved)
            ctx.set_materialize_grads(False)
            before = [tensor._version for tensor in tensors]
            made = plain(function(*tensors))
            ctx.dirty = [n for n, x in enumerate(tensors) if x._version > before[n]]
            made = [one.clone() if one._is_view() else one for one in made]
            gives = [tensors[place] for place in ctx.dirty] + made
            ctx.mark_dirty(*gives[:len(ctx.dirty)])
            known = again(function, saved, ctx.needs_input_grad, ctx.dirty)[1]
            ctx.mark_non_differentiable(
                *(one for one, two in zip(gives, known) if not two.requires_grad)
            )
            return tuple(gives)
        @staticmethod
        def backward(ctx, *gradients):
            leaves, found = again(function, ctx.saved_tensors, ctx.needs_input_grad, ctx.dirty)
            pairs = [(one, two) for one, two in zip(found, gradients) if two is not None]
            if pairs:
                torch.autograd.backward(*zip(*pairs))
            return tuple(leaf.grad for leaf in leaves)
    def call(*tensors):
        before = [tensor._version for tensor in tensors]
        gives = Writing.apply(*tensors)
        written = sum(x._version > before[n] for n, x in enumerate(tensors))
        made = gives[written:]
        return made if len(made) > 1 else made[0] if made else None
    return call\
"""
"""A custom function that writes its inputs: it says which, and what of its results has no gradient.
"""
GRAD = """\
def derived(work, given, gradients, needed):
    weighted = lambda *tensors: sum(
        (one * two).sum() for one, two in zip(work(*tensors), gradients)
    )
    places = [place for place, asked in enumerate(needed) if asked]
    found = dict(zip(places, torch.func.grad(weighted, tuple(places))(*given)))
    return tuple(map(found.get, range(len(given))))\
"""
VJP = """\
def derived(work, given, gradients, needed):
    places = [place for place, asked in enumerate(needed) if asked]
    def of_these(*tensors):
        inputs = list(given)
        for place, tensor in zip(places, tensors):
            inputs[place] = tensor
        return work(*inputs)
    _, pull = torch.func.vjp(of_these, *(given[place] for place in places))
    found = dict(zip(places, pull(gradients)))
    return tuple(map(found.get, range(len(given))))\
"""
JVP = """\
def derived(work, given, gradients, needed):
    found = [None] * len(given)
    for place in (place for place, asked in enumerate(needed) if asked):
        of_this = lambda tensor: work(*given[:place], tensor, *given[place + 1:])
        found[place] = torch.zeros(given[place].shape, dtype=torch.float64)
        for cell in range(given[place].numel()):
            along = torch.zeros(given[place].shape, dtype=torch.float64)
            along.view(-1)[cell] = 1.0
            moved = torch.func.jvp(of_this, (given[place],), (along,))[1]
            total = sum((one * two).sum() for one, two in zip(moved, gradients))
            found[place].view(-1)[cell] = total
    return tuple(found)\
"""
JACFWD = """\
def derived(work, given, gradients, needed):
    found = [None] * len(given)
    for place in (place for place, asked in enumerate(needed) if asked):
        for one, rows in zip(gradients, torch.func.jacfwd(work, place)(*given)):
            term = torch.tensordot(one, rows, one.dim())
            found[place] = term if found[place] is None else found[place] + term
    return tuple(found)\
"""
RECOMPUTED = """\
def derived(work, given, gradients, needed):
    given = [tensor.detach().requires_grad_(asked) for tensor, asked in zip(given, needed)]
    with torch.enable_grad():
        made = work(*given)
    pairs = [pair for pair in zip(made, gradients) if pair[0].requires_grad]
    if pairs:
        torch.autograd.backward(*zip(*pairs))
    return tuple(tensor.grad for tensor in given)\
"""
MAPPED = """\
def mapped(both):
    # Halves of two equal rows are exact; a row that nothing asks for would get zero for a gradient,
    # and zero times infinity is NaN.
    return 0.5 * both[0] + 0.5 * both[1] if both.is_floating_point() else both[0]
def transformed(function):
    def call(*tensors):
        made = torch.func.vmap(function)(*(each.expand(2, *each.shape) for each in tensors))
        return tuple(map(mapped, made)) if isinstance(made, tuple) else mapped(made)
    return call\
"""
EXPORTED = f"""\
{_MODULE}def transformed(function):
    module = Function(function)
    return lambda *tensors: torch.export.export(module, tensors).module()(*tensors)\
"""
DUAL = """\
from torch.autograd import forward_ad
def moves(tensor):
    along = forward_ad.unpack_dual(tensor).tangent
    return torch.zeros_like(tensor.data) if along is None else along\
"""
TWICE = """\
def filled(found, leaves):
    pairs = zip(found, leaves)
    return [torch.zeros_like(leaf.data) if one is None else one for one, leaf in pairs]
def twice(roots, cotangents, leaves, tangents):
    first = torch.autograd.grad(roots, leaves, cotangents, create_graph=True, allow_unused=True)
    pairs = [
        pair for pair in zip(first, tangents) if pair[0] is not None and pair[0].requires_grad
    ]
    second = [None] * len(leaves)
    if pairs:
        firsts, weights = zip(*pairs)
        second = torch.autograd.grad(firsts, leaves, weights, allow_unused=True)
    return filled(first, leaves) + filled(second, leaves)\
"""
