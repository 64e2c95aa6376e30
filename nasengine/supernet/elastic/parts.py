"""What a node of a subnet computes: the node of the largest network, with the leading part of its weights."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.graph.computation_graph import Operation
from nasengine.operations.convolution import Convolution
from nasengine.operations.primitives import make_module
from nasengine.supernet.elastic.kernels import KernelTransform

Tensors = dict[str, Tensor]


class NodePart:
    """A node's module at the size of a subnet; it owns no weights.

    Args:
        module: of the largest network.
        operation: of the subnet.
        transform: gives smaller kernels, where the node has them.
    """

    def __init__(self, module: nn.Module, operation: Operation, transform: KernelTransform | None) -> None:
        self.module, self.operation, self.transform = module, operation, transform
        with torch.device("meta"):
            template = make_module(operation)
        assert template is not None
        self.template = template
        self.cuts = {
            name: tuple(slice(size) for size in value.shape)
            for name, value in (*template.named_parameters(), *template.named_buffers())
        }

    def tensors(self) -> Tensors:
        """Weights and statistics: views of the leading part along each axis, or smaller kernels."""
        found = {}
        own = {**self.module._parameters, **self.module._buffers}
        for name, cut in self.cuts.items():
            value = own[name]
            assert value is not None  # the template has it
            if name == "weight" and self.transform is not None:
                found[name] = self.transform(value[cut[:2]], self.operation.kernel)
            else:
                found[name] = value[cut]
        return found


def make_part(part: NodePart) -> Callable[[Tensor], Tensor]:
    """A function that computes a node from the weights of the moment."""
    if isinstance(part.template, Convolution):
        return _convolution(part, part.template)
    if isinstance(part.template, nn.Linear):
        return _linear(part)
    if isinstance(part.module, nn.BatchNorm2d):
        return _batch_norm(part, part.module)
    return lambda x: torch.func.functional_call(part.template.train(part.module.training), part.tensors(), x)


def _convolution(part: NodePart, template: Convolution) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        found = part.tensors()
        return template.repeated(x, found["weight"], found.get("bias"), 1)

    return run


def _linear(part: NodePart) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        found = part.tensors()
        return F.linear(x, found["weight"], found.get("bias"))

    return run


def _batch_norm(part: NodePart, norm: nn.BatchNorm2d) -> Callable[[Tensor], Tensor]:
    """Statistics are views as well, so that training updates those of the channels that take part."""

    def run(x: Tensor) -> Tensor:
        found = part.tensors()
        momentum = norm.momentum
        if norm.training and momentum is None:  # a cumulative average, as ``recalibrate`` asks for
            found["num_batches_tracked"].add_(1)
            momentum = 1.0 / float(found["num_batches_tracked"])
        statistics = found["running_mean"], found["running_var"]
        affine = found.get("weight"), found.get("bias")
        return F.batch_norm(x, *statistics, *affine, norm.training, momentum or 0.0, norm.eps)

    return run
