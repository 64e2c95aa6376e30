"""What spaces promise in which every mutation leads to another network."""

import random

from nasengine.graph import fingerprint
from nasengine.testing import small_config


class MutationContract:
    """Runs beside ``SearchSpaceContract``, on the same ``space``."""

    def test_mutations_change_the_network(self, space):
        rng = random.Random(1)
        architecture = space.sample(rng)
        for _ in range(20):
            child = space.mutate(architecture, rng)
            graphs = [space.to_graph(one, small_config(space)) for one in (architecture, child)]
            assert fingerprint(graphs[0]) != fingerprint(graphs[1])
            architecture = child
