"""Run with TRITON_INTERPRET=1: the Triton kernels on a CPU, operation by operation, against torch. Prints the differences as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from unittest import mock

import torch
from torch import Tensor

from poseglot.kernels import topology, topology_triton
from poseglot.models.encoders.ctr_gc import RefinedGraph

# B, C, T, V, R, S
# Small, as every program is interpreted: more frames or channels than a block has, and fewer; several clips and subsets.
CASES = ((2, 3, 3, 20, 3, 3), (1, 2, 17, 25, 8, 1), (1, 17, 2, 17, 1, 2))


def plain(relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor) -> Tensor:
    made = torch.einsum("scr,bsruv->bscuv", weight, relation)
    made = made + bias[None, :, :, None, None] + adjacency[None, :, None]
    return torch.einsum("bscuv,bcsvt->bcut", made, value)


def difference(case: Sequence[int]) -> list[float]:
    """Of y and of each gradient, as a share of the largest number."""
    b, c, t, v, r, s = case
    generator = torch.Generator().manual_seed(0)
    shapes = [(b, s, r, v, v), (s, c, r), (s, c), (s, v, v), (b, c, s, v, t)]
    given = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    asked = torch.randn(b, c, v, t, generator=generator)
    ways = []
    for way in (plain, lambda *given: topology_triton.aggregate(*given, precision="ieee")):
        y = way(*given)
        ways.append([y.detach(), *torch.autograd.grad((y * asked).sum(), given)])
    return [float((ours - wanted).abs().max() / wanted.abs().max()) for wanted, ours in zip(*ways, strict=True)]


def of_a_unit() -> list[float]:
    """Of a whole graph unit, its features and its parameters' gradients, by the kernels and by torch."""
    torch.manual_seed(0)
    unit = RefinedGraph(8, 4, torch.rand(3, 20, 20))
    torch.nn.init.normal_(unit.alpha)
    torch.nn.init.normal_(unit.norm.weight)
    x = torch.randn(2, 8, 20, 3)
    ways = []
    for answer in ("by torch", None):
        with mock.patch.object(topology, "unsupported_reason", lambda value, answer=answer: answer):
            y = unit(x)
            ways.append([y.detach(), *torch.autograd.grad(y.square().sum(), [*unit.parameters()])])
    # A bias in front of a BatchNorm has a gradient of zero, but for rounding.
    return [float((ours - wanted).abs().max() / wanted.abs().max().clamp_min(1)) for wanted, ours in zip(*ways, strict=True)]


def twice() -> bool:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 2, 2, 20, 20), (2, 4, 2), (2, 4), (2, 20, 20), (2, 4, 2, 20, 3)]
    given = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    found = []
    for _ in range(2):
        y = topology_triton.aggregate(*given, precision="ieee")
        found.append([y.detach(), *torch.autograd.grad(y.square().sum(), given)])
    return all(map(torch.equal, *found))


if __name__ == "__main__":
    json.dump({"cases": [difference(case) for case in CASES], "unit": of_a_unit(), "same bits": twice()}, sys.stdout)
