"""What every test of the engine has."""

import signal

import pytest

# Seconds. On no machine a test takes as long; one that waits for what never comes is told by name.
HANGS = 900


@pytest.fixture(autouse=True)
def ends():
    """A test that hangs is a failure, where it hangs, and does not keep the others."""

    def fail(_signal, _frame):
        raise AssertionError(f"the test did not end within {HANGS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(HANGS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
