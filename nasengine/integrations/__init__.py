"""Other programs that nasengine works with; each is imported where it is needed, and may be absent."""
