"""Parameters counted by hand, and weights handed to modules written by hand."""

import torch

from nasengine.graph import cost


def parameters(space, text):
    """Learned values of the network at its published size."""
    return cost(space.to_graph(space.parse(text), space.defaults)).num_parameters


def conv(inputs, outputs, window):
    """Convolution without bias, and batch norm."""
    return inputs * outputs * window + 2 * outputs


def split(inputs, outputs):
    """1x3 and 3x1."""
    return conv(inputs, outputs, 3) + conv(outputs, outputs, 3)


def projection(inputs, outputs):
    return conv(inputs, outputs, 1) if inputs != outputs else 0


def assert_equal_with_equal_weights(ours, theirs, images):
    """Gives random statistics to our batch norms and all of our weights to ``theirs``, in order."""
    generator = torch.Generator().manual_seed(0)
    for name, buffer in ours.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))
