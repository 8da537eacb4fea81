"""What a person at the terminal sees: one line of progress, or one line of failure."""

import sys


class DevError(Exception):
    """A step that cannot be done; its text is one line that says what to do about it."""


def say(message):
    """Print one line of progress at once, also when the output is a pipe."""
    sys.stdout.write(f"==> {message}\n")
    sys.stdout.flush()
