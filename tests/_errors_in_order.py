"""Programs whose last step has two reasons to raise, and which of them torch gives."""

from __future__ import annotations

from conformance.model import Kind

_ORDER = """
multi-output view in place < view of a leaf in place
    w = leaf(2)
    p, q = w.unbind()  # else p = w[0]
    p.mul_(2.0)

view made in no_grad in place < view of a leaf in place
    w = leaf(2)
    with no_grad:  # else v = w.view_as()
        v = w.view_as()  # else
    v.mul_(2.0)

view made in inference mode in place < view of a leaf in place
    w = leaf(2)
    with inference_mode:  # else v = w.view_as()
        v = w.view_as()  # else
    v.mul_(2.0)

view made in no_grad in place < multi-output view in place
    w = leaf(2)
    with no_grad:  # else p, q = w.unbind()
        p, q = w.unbind()  # else
    p.mul_(2.0)

view made in inference mode in place < multi-output view in place
    w = leaf(2)
    with inference_mode:  # else p, q = w.unbind()
        p, q = w.unbind()  # else
    p.mul_(2.0)

multi-output view in place < multi-output view whose base was written
    w = leaf(2)
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)
    y = w.sum()
    p.mul_(q)  # else y.mul_(q)

multi-output view whose base was written < leaf in place
    w = leaf(2)
    x = const(2, 1, 2)
    x.mul_(w)
    p, q = x.unbind()
    x.mul_(2.0)  # else
    w[...] = p

leaf in place < multi-output view whose base was written
    w = leaf()
    u = leaf(2)
    x = u.clone()
    p, q = x.unbind()
    x.mul_(2.0)
    y = w.clone()
    w.mul_(p)  # else y.mul_(p)

view of a leaf in place < view made in no_grad whose base was written
    w = leaf(2)
    u = leaf(2)  # else u = const(2)
    x = w.clone()
    with no_grad:
        p = x[0]
    x.mul_(2.0)
    v = u[0]
    v.mul_(p)

leaf in place < inference tensor saved for backward
    w = leaf(2)
    x = w.clone()
    with inference_mode:
        y = w.mul(2.0)
    w.mul_(y)  # else x.mul_(y)

leaf in place < operands overlap partially
    w = leaf(2, 2)  # else w = const(2, 2)
    t = w.t()
    w.mul_(t)

view of a leaf in place < target overlaps itself
    w = leaf(2)  # else w = const(2)
    e = w.expand(shape=[2, 2])
    e.mul_(2.0)

leaf in place < broadcast target
    w = leaf()  # else w = const()
    u = const(2)
    w.mul_(u)

multi-output view whose base was written < inference tensor saved for backward
    w = leaf(2)
    x = w.clone()
    p, q = x.unbind()
    with inference_mode:
        i = w.sum()
    x.mul_(2.0)  # else
    g = w.sum()
    g.addcmul_(p, i)

multi-output view whose base was written < target overlaps itself
    w = leaf(2)
    x = w.clone()
    p, q = x.unbind()
    y = w.clone()
    e = y.expand(shape=[2, 2])
    x.mul_(2.0)  # else
    e.mul_(p)

multi-output view whose base was written < broadcast target
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    y = w.sum()
    x.mul_(2.0)  # else
    y.add_(p)

multi-output view whose base was written < view stride
    w = leaf(2, 2, 2)
    x = w.clone()
    t = x.transpose(dim0=0, dim1=2)
    p, q = t.unbind()
    x.mul_(2.0)  # else
    y = p.view(shape=[4])

inference tensor saved for backward < target overlaps itself
    w = leaf(2)
    x = w.clone()
    with inference_mode:  # else y = w.mul(2.0)
        y = w.mul(2.0)  # else
    e = x.expand(shape=[2, 2])
    e.mul_(y)

inference tensor saved for backward < operands overlap partially
    w = leaf(2, 2)
    x = w.clone()
    t = x.t()
    with inference_mode:  # else y = w.mul(2.0)
        y = w.mul(2.0)  # else
    x.addcmul_(t, y)

inference tensor saved for backward < broadcast target
    w = leaf(2)
    x = w.sum()
    with inference_mode:  # else y = w.mul(2.0)
        y = w.mul(2.0)  # else
    x.mul_(y)

inference tensor saved for backward < inference tensor in place
    w = leaf(2)
    with inference_mode:
        y = w.mul(2.0)
    y.addcmul_(w, y)  # else y.mul_(w)

target overlaps itself < broadcast target
    u = const(2, 2, 2)
    b = const(2)
    e = b.expand(shape=[2, 2])  # else e = const(2, 2)
    e.mul_(u)

target overlaps itself < inference tensor in place
    b = const(2)
    with inference_mode:
        y = b.mul(2.0)
    e = y.expand(shape=[2, 2])  # else e = y.view_as()
    e.mul_(2.0)

operands overlap partially < broadcast target
    b = const(1)
    v = b.view(shape=[])  # else v = const()
    v.mul_(b)

operands overlap partially < inference tensor in place
    b = const(2, 2)
    with inference_mode:
        y = b.mul(2.0)
    t = y.t()  # else t = y.view_as()
    y.mul_(t)

broadcast target < dtype cast
    m = ints()
    u = const(2)  # else u = const()
    m.mul_(u)

broadcast target < inference tensor in place
    u = const(2)
    with inference_mode:
        y = u.sum()
    y.mul_(u)  # else y.mul_(2.0)

dtype cast < inference tensor in place
    b = const(2)
    with inference_mode:
        m = b.gt(1.0)  # else m = b.mul(2.0)
    m.mul_(2.0)

leaf in place < operands do not broadcast
    w = leaf(2)  # else w = const(2)
    u = const(3)
    w.mul_(u)

multi-output view whose base was written < operands do not broadcast
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    u = leaf(3)
    y = u.clone()
    x.mul_(2.0)  # else
    y.add_(p)

target overlaps itself < operands do not broadcast
    u = const(3)
    b = const(2)
    e = b.expand(shape=[2, 2])  # else e = const(2, 2)
    e.mul_(u)

operands overlap partially < operands do not broadcast
    b = const(2, 2)
    u = const(3)
    t = b.t()  # else t = const(2, 2)
    b.addcmul_(t, u)

operands do not broadcast < dtype cast
    m = ints(2)
    u = const(3)  # else u = const(2)
    m.mul_(u)

operands do not broadcast < inference tensor in place
    b = const(2)
    u = const(3)  # else u = const(2)
    with inference_mode:
        y = b.mul(2.0)
    y.mul_(u)

operands do not broadcast < broadcast target
    b = const()
    u = const(2)
    v = const(3)  # else v = const(2)
    b.addcmul_(u, v)

leaf in place < fill with what is not 0-d
    w = leaf(2)  # else w = const(2)
    u = const(2)
    w.fill_(u)

multi-output view whose base was written < fill with what is not 0-d
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    y = w.clone()
    x.mul_(2.0)  # else
    y.fill_(p)

fill with what is not 0-d < target overlaps itself
    b = const(1)
    u = const(2)  # else u = const()
    e = b.expand(shape=[2])
    e.fill_(u)

fill with what is not 0-d < inference tensor in place
    b = const(2)
    u = const(2)  # else u = const()
    with inference_mode:
        y = b.mul(2.0)
    y.fill_(u)

value of another size < leaf in place
    w = leaf(2)
    u = const(3)  # else u = const(2)
    w[...] = u

value of another size < view of a leaf in place
    w = leaf(2)
    u = const(3)  # else u = const(1)
    w[0:1] = u

value of more dimensions < view of a leaf in place
    w = leaf(2)
    u = const(3)  # else u = const()
    w[0] = u

value of more dimensions < multi-output view in place
    w = leaf(2)
    p, q = w.unbind()
    u = const(3)  # else u = const()
    p[...] = u

value of more dimensions < target overlaps itself
    b = const()
    e = b.expand(shape=[2])
    u = const(3, 2)  # else u = const(2)
    e[...] = u

value of another size < inference tensor in place
    b = const(2)
    u = const(3)  # else u = const(2)
    with inference_mode:
        y = b.mul(2.0)
    y[...] = u

multi-output view whose base was written < value of more dimensions
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    b = const(2)
    x.mul_(2.0)  # else
    b[0] = p

multi-output view whose base was written < value of another size
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    u = const(3)
    x.mul_(2.0)  # else
    p[0:1] = u

value of another size < multi-output view whose base was written
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    u = const(3)  # else u = leaf(2)
    x.mul_(2.0)
    y = w.sum()  # else y = u.mul(p)
    p[...] = u  # else

index out of range < view of a leaf in place
    w = leaf(2)
    w[2] = 1.0  # else w[1] = 1.0

index out of range < multi-output view whose base was written
    w = leaf(2, 2)
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)
    p[2] = 1.0  # else p[1] = 1.0

multi-output view whose base was written < index out of range
    w = leaf(2, 2, 2)
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)  # else
    p[0, 2] = 1.0

index out of range < value of more dimensions
    b = const(2)
    u = const(3)
    b[2] = u  # else b[1] = u

index out of range < target overlaps itself
    b = const()
    e = b.expand(shape=[2])
    u = const(2)
    e[2] = 1.0  # else e[...] = u

index out of range < inference tensor in place
    b = const(2)
    with inference_mode:
        y = b.mul(2.0)
    y[2] = 1.0  # else y[1] = 1.0

too many indices < index out of range
    b = const(2)
    b[2, 0] = 1.0  # else b[2] = 1.0

too many indices < leaf in place
    w = leaf(2)
    w[..., 0, 0] = 1.0  # else w[...] = 1.0

index of a 0-d tensor < leaf in place
    w = leaf()
    w[0] = 1.0  # else w[...] = 1.0

nothing requires grad < multi-output view whose base was written
    w = leaf(2)
    b = const()  # else b = w.sum()
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)
    backward(b, p)

multi-output view whose base was written < nothing requires grad
    w = leaf(2)
    b = const()
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)  # else
    backward(p, b)

nothing requires grad < input that does not require grad
    b = const(2)  # else b = leaf(2)
    u = const(2)
    backward(b, inputs=("u",))

multi-output view whose base was written < input that does not require grad
    w = leaf(2)
    u = const(2)
    x = w.clone()
    p, q = x.unbind()
    x.mul_(2.0)  # else
    backward(p, inputs=("u",))

input that does not require grad < saved tensor modified
    w = leaf(2)
    u = const(2)
    y = w.exp()
    y.mul_(2.0)
    backward(y, inputs=("u",))  # else backward(y, inputs=("w",))

multi-output view whose base was written < saved tensor modified
    w = leaf(2)
    x = w.clone()
    p, q = x.unbind()  # else p = x[0]
    y = p.square()
    x.mul_(2.0)
    backward(y)

graph freed < saved tensor modified
    w = leaf(2)
    y = w.exp()
    z = y.add(1.0)
    backward(z)  # else backward(z, retain_graph=True)
    with no_grad:
        y.mul_(2.0)
    backward(z)

graph freed < saved tensor detached in place
    w = leaf(2)
    x = w.clone()
    y = x.square()
    backward(y)  # else backward(y, retain_graph=True)
    x.detach_()
    backward(y)

saved tensor detached in place < saved tensor modified
    w = leaf(2)
    x = w.clone()
    y = x.square()
    x.detach_()  # else
    x.mul_(2.0)
    backward(y)

saved tensor modified < parameter that forbids in place
    w = leaf(2)
    x = w.clone()
    x.leaky_relu_(negative_slope=-0.5)
    x.mul_(2.0)  # else
    backward(x)

overlap in backward < saved tensor modified
    w = leaf(2)
    b = const(2)  # else b = const(2, 2)
    e = b.expand(shape=[2, 2])
    d = e.detach()
    v = d[0]
    y = w.clone()
    v.mul_(y)
    z = w.clone()
    v.mul_(z)
    z.mul_(2.0)
    backward(d)

not differentiable < saved tensor modified
    w = leaf(2)
    u = leaf(2)
    y = w.exp()
    z = u.clone()
    z.asinh_()  # else
    s = y.add(z)
    y.mul_(2.0)
    backward(s)

saved tensor modified < not differentiable
    w = leaf(2)
    u = leaf(2)
    z = u.clone()
    z.asinh_()
    y = w.exp()
    s = y.add(z)
    y.mul_(2.0)  # else
    backward(s)

leaf moved into the graph < saved tensor modified
    w = leaf(2)
    u = leaf(2)
    z = u.exp()
    y = w.add(1.0)
    s = y.add(z)
    z.mul_(2.0)
    w.requires_grad_(requires_grad=False)  # else
    w.copy_(u)  # else
    backward(s)

graph freed < leaf moved into the graph
    w = leaf(2)
    u = leaf(2)
    y = w.mul(2.0)
    backward(y)  # else backward(y, retain_graph=True)
    w.requires_grad_(requires_grad=False)
    w.copy_(u)
    backward(y)
"""
"""Paragraphs: the kind that is raised, the other one, and a program. The second one is raised where
lines with `# else` read as what stands behind it, or are left out if nothing does.
"""


def _read(paragraph: str) -> tuple[Kind, Kind, str]:
    title, *lines = paragraph.splitlines()
    first, _, second = title.partition(" < ")
    return Kind(first), Kind(second), "\n".join(line[4:] for line in lines)


ORDER = tuple(map(_read, _ORDER.strip().split("\n\n")))
