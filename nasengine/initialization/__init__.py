"""From one trained network to networks of other sizes that begin with its knowledge."""
