"""make clean: end what runs from this checkout and delete all that it made."""

import shutil

from . import postgres, processes
from .fail import DevError, say
from .paths import DEV


def clean():
    processes.end_marked()
    for place in (DEV, postgres.OUTSIDE):
        for folder in place.glob("*/data/PG_VERSION"):
            postgres.Cluster(folder.parents[1].name).stop()
    for place in (DEV, postgres.OUTSIDE):
        shutil.rmtree(place, ignore_errors=True)
        if place.exists():
            raise DevError(f"{place} cannot be deleted whole: delete it as its owner")
    say("Deleted .dev")
