"""What can go wrong with a build, in words that say what to do."""


class BuildError(Exception):
    """An image cannot be built; the text says what, why and the remedy."""
