"""Kinds of destination for tests, besides those of the product."""

from engine.destinations import local


class DistantDestination(local.LocalDestination):
    """One whose archives are no files of this machine: only ``read`` gives them back.

    :param fault: ``lost`` breaks the connection after a block; ``slow`` lets a test in between
    """

    between = staticmethod(lambda: None)

    def __init__(self, path, fault=""):
        super().__init__(path)
        self._fault = fault

    def begin(self, path, owner, token, spool=None):
        return super().begin(path, owner, token)

    def path_of(self, path):
        super().path_of(path)

    def read(self, path):
        for block in local.LocalDestination(self.path).read(path):
            yield block[: len(block) // 2]
            self.between()
            if self._fault == "lost":
                raise local.DestinationFailed("The connection was lost.")
            yield block[len(block) // 2 :]


class RenewingDestination(DistantDestination):
    """One that gives a new token for the old one as soon as it is asked, and refuses the old one
    from then on, as some kinds of cloud storage do.

    :param valid: the tokens that it accepts now, shared by all that are opened
    """

    def __init__(self, path, token, valid):
        super().__init__(path)
        self._given = self._token = token
        self._valid = valid

    def _renew(self):
        if self._token not in self._valid:
            raise local.DestinationFailed(f"The token {self._token} is no longer valid.")
        self._valid.remove(self._token)
        self._token += "'"
        self._valid.append(self._token)

    def begin(self, path, owner, token, spool=None):
        self._renew()
        return super().begin(path, owner, token, spool)

    def path_of(self, path):
        self._renew()
        super().path_of(path)

    def read(self, path):
        self._renew()
        yield from super().read(path)

    def delete(self, path, owner, version=""):
        self._renew()
        super().delete(path, owner, version)
        raise local.DestinationFailed("The connection was lost.")

    @property
    def changed_settings(self):
        return {} if self._token == self._given else {"token": self._token}
