"""The engine: bytes, time and policy in plain Python.

Nothing in here imports Odoo or reaches a database, and every import is relative, so that the
package runs in a bare interpreter (``python -m engine``) as well as inside the addon. Kinds of
other addons import it as ``backup_engine``.
"""

from .alias import install

install(__name__)
