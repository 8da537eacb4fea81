"""Odoo over XML-RPC, as any script of a user would speak to it: standard library only."""

import xmlrpc.client

TIMEOUT = 120  # seconds for one answer


class Rpc:
    """One login in one database. A method of Odoo that fails raises xmlrpc.client.Fault."""

    def __init__(self, url, database, login, password):
        self.database, self.password = database, password
        self._object = _proxy(f"{url}/xmlrpc/2/object")
        self.uid = _proxy(f"{url}/xmlrpc/2/common").authenticate(database, login, password, {})
        if not self.uid:
            raise PermissionError(f"{login} cannot log in to {database} at {url}")

    def call(self, model, method, *args, **kw):
        """Call a public method of a model; `kw` are its keyword arguments."""
        return self._object.execute_kw(
            self.database, self.uid, self.password, model, method, list(args), kw
        )


def _proxy(url):
    return xmlrpc.client.ServerProxy(url, transport=_Transport(), allow_none=True)


class _Transport(xmlrpc.client.Transport):
    """A transport whose waits have a bound."""

    def make_connection(self, host):
        connection = super().make_connection(host)
        connection.timeout = TIMEOUT
        return connection
