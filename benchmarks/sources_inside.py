"""What `benchmarks/sources.py` measures inside Odoo: its own backup of a database, to a file."""

import json
import time
from pathlib import Path

from odoo.service.db import dump_db


def main(env, target, archive):
    began = time.monotonic()
    with Path(archive).open("wb") as file:
        dump_db(env.cr.dbname, file, "zip")
    Path(target).write_text(json.dumps(time.monotonic() - began))
