from . import test_ntfy
