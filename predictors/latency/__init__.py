"""How long networks take on a device, learned from a hundred that were measured there."""
