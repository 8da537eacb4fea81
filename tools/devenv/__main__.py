"""python -m devenv <command>: what the Makefile calls."""

import os
import signal
import sys

from .fail import DevError

INTERRUPTED = 130


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
    if name == "demo":
        from .demo import demo as command
    elif name == "run":
        from .run import run as command
    elif name == "test":
        from .tests import test as command
    elif name == "chaos":
        from .chaos import chaos as command
    elif name == "lint":
        from .lint import lint as command
    elif name == "clean":
        from .clean import clean as command
    elif name == "screenshots":
        from .screenshots import screenshots as command
    elif name == "i18n":
        from .i18n import i18n as command
    elif name == "setup":
        from .environment import ensure as command
    else:
        raise DevError(f"there is no command '{name}': see make help")
    return command


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
