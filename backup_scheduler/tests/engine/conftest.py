"""What every test of the engine has."""

import signal

import pytest
from fake_odoo import FakeOdoo
from receivers import raw, recorder, silence  # noqa: F401 - fixtures

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


@pytest.fixture
def odoo():
    """A server to be backed up: the archive that it gives, and what it does wrong, can be set."""
    with FakeOdoo() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    """The folder below which local destinations lie."""
    return str(tmp_path)
