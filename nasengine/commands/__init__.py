"""Commands of ``nasengine`` that are more than a few lines; ``cli.py`` puts them together."""
