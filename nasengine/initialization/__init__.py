"""Starting weights that come from networks that were trained before."""
