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
