"""make i18n: the template of the addon's translations, as Odoo itself exports it."""

from . import environment
from .fail import say
from .odoo import OdooServer
from .paths import ADDON
from .postgres import Cluster
from .seed import Seed
from .stack import addon_dependencies

DATABASE = "i18n"


def i18n():
    environment.ensure()
    template = ADDON / "i18n" / f"{ADDON.name}.pot"
    template.parent.mkdir(exist_ok=True)
    with environment.only_one("i18n"):
        cluster = Cluster("i18n").start()
        server = OdooServer("i18n", cluster, with_addon=True)
        try:
            cluster.drop(DATABASE)
            Seed(modules=addon_dependencies()).create(server, DATABASE)
            server.install(DATABASE, ADDON.name)
            server.run("i18n", "export", "-d", DATABASE, ADDON.name, "-o", template)
        finally:
            server.stop()
            cluster.stop()
    say(f"Written: {template}")
