"""Search spaces, each one file and one entry point of the group ``nasengine.search_spaces``."""
