"""The environment of programs that this process starts, and their end with it.

Odoo's own environment may hold passwords and paths, and programs look into it, and into the home
folder, for logins, configurations and commands. Those that work with settings which somebody has
entered see neither: only what is named here.
"""

import os
import shutil

# Where programs are, how they speak, where they keep what is temporary, whom they trust, and how
# they get out of this network.
KEPT = (
    "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
LOCALE = "LC_"
# The shell goes on only while its parent is the one that it was started by: who dies before the
# signal is asked for sends none.
GUARD = ("setpriv", "--pdeathsig", "TERM", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


def clean_environment(home, **variables):
    """Return an environment with a home folder of its own, and these variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(LOCALE)
    }
    return {**kept, "HOME": home, **variables}


def guarded(command):
    """Return a command that ends when the thread that starts it does: in the main thread, with this
    process, however it is killed. As it is, where setpriv (util-linux) is not installed.
    """
    setpriv = shutil.which(GUARD[0])
    return [setpriv, *GUARD[1:], str(os.getpid()), *command] if setpriv else command
