"""python -m devenv <command>: what the Makefile calls."""

import importlib
import os
import signal
import sys

from .fail import DevError

INTERRUPTED = 130
# Each command: the module that has it, and its function there.
COMMANDS = {
    "demo": ("demo", "demo"),
    "run": ("run", "run"),
    "test": ("tests", "test"),
    "chaos": ("chaos", "chaos"),
    "corpus": ("corpus", "corpus"),
    "fuzz": ("fuzz", "fuzz"),
    "lint": ("lint", "lint"),
    "clean": ("clean", "clean"),
    "screenshots": ("screenshots", "screenshots"),
    "i18n": ("i18n", "i18n"),
    "setup": ("environment", "ensure"),
}


def main(name):
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_signum, _frame):
        # Once is enough: what was started has to be stopped in peace.
        for signum in signals:
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    for signum in signals:
        signal.signal(signum, interrupt)
    try:
        return _command(name)() or 0
    except DevError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error}: mend that, then run the command again\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: everything is stopped\n")
        return INTERRUPTED


def _command(name):
    """Import only the command's own module: the others may need what is not set up yet."""
    if name not in COMMANDS:
        raise DevError(f"there is no command '{name}': see make help")
    module, function = COMMANDS[name]
    return getattr(importlib.import_module(f".{module}", __package__), function)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
