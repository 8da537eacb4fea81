"""make run: the demo's two servers, left running until Ctrl-C."""

import contextlib
import os
import signal
import socket

from . import environment, user_script
from .fail import DevError, say
from .stack import BACKUP_DATABASE, REMOTE_DATABASE, Stack

DEFAULT_PORT = 8069


def run():
    port = _port()
    environment.ensure()
    with environment.only_one("run"), Stack("run", port=port, remote_port=port + 1) as stack:
        rpc = stack.backup.rpc(BACKUP_DATABASE)
        instance = user_script.create_instance(
            rpc, "Shop", stack.remote.url, stack.master_password
        )
        job = user_script.create_job(rpc, instance, "Shop, hourly", "0 * * * *", [REMOTE_DATABASE])
        rpc.call("backup.job", "run_now", [job])
        say(f"Backup server  {stack.backup.url}/odoo  login admin, password admin")
        say(f"Remote         {stack.remote.url}/odoo  login admin, password admin, "
            f"master password {stack.master_password}")
        say(f"Logs           {stack.backup.log} and {stack.remote.log}")
        say("Ctrl-C stops all")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _port():
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdigit() or not 0 < int(text) < 65535:
        raise DevError(f"PORT={text} is no port: make run PORT={DEFAULT_PORT}")
    for port in (int(text), int(text) + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                other = f"make run PORT={int(text) + 1000}"
                raise DevError(f"port {port} is taken: {other}") from None
    return int(text)
