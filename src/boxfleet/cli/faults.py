"""Failures of a command, in words that say what to do."""


class CommandFailed(Exception):
    """The command could not do what was asked; the text is for people, and ends the command with exit code 1."""
