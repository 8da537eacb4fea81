"""What is told once a transaction is committed, and may fail without undoing anything."""

import logging

import psycopg2

_logger = logging.getLogger(__name__)


class Forgiving:
    """The hooks that follow a commit, of which one that fails is logged and the others run.

    Odoo's bus wakes the web clients through a connection of its own to the database ``postgres``.
    There may be none: a pooler does not offer it, the server has no connection left. What was
    committed stays committed, and whoever committed it must not take it for lost.

    :param hooks: what Odoo's cursor has as its ``postcommit``
    """

    def __init__(self, hooks):
        self._hooks = hooks

    def __getattr__(self, name):
        return getattr(self._hooks, name)

    def __len__(self):
        return len(self._hooks)

    def run(self):
        """Run each hook once, in order."""
        while self._hooks:
            self._run_on()
        self._hooks.clear()

    def _run_on(self):
        """Run the hooks up to the first that fails, which is gone then."""
        try:
            self._hooks.run()
        except psycopg2.Error as error:
            _logger.warning("Committed, but not told to the web clients: %s", error)


def forgive(cr):
    """Let nothing that follows the next commit of the cursor look like a failure of it."""
    if not isinstance(cr.postcommit, Forgiving):
        cr.postcommit = Forgiving(cr.postcommit)
