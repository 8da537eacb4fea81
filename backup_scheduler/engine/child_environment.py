"""The environment of programs that work with settings which somebody has entered.

Odoo's own environment may hold passwords and paths, and programs look into it, and into the home
folder, for logins, configurations and commands. They see neither: only what is named here.
"""

import os

# Where programs are, how they speak, where they keep what is temporary, whom they trust, and how
# they get out of this network.
KEPT = (
    "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
LOCALE = "LC_"


def clean_environment(home, **variables):
    """Return an environment with a home folder of its own, and these variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(LOCALE)
    }
    return {**kept, "HOME": home, **variables}
