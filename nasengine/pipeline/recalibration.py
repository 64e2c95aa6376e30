"""Batch norms of a network that begins with weights of others get statistics of their own."""

from itertools import islice

from nasengine.data import ImageDataset, batches
from nasengine.network import GraphNetwork
from nasengine.randomness import seeded_generator
from nasengine.supernet.training import recalibrate

BATCH_SIZE, NUM_BATCHES = 128, 8


def recalibrated(network: GraphNetwork, dataset: ImageDataset, seed: int) -> GraphNetwork:
    """The network, with running statistics of its weights as they are now, over some training images.

    Args:
        network: changed in place.
        dataset: ``train`` is used.
        seed: of the run; chooses the images.
    """
    feed = batches(dataset.train, dataset, BATCH_SIZE, seeded_generator(seed, "recalibration"))
    recalibrate(network, network, (images for images, _ in islice(feed, NUM_BATCHES)))
    return network
