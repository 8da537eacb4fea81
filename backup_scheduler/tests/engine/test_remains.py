"""A destination that dies under an upload: the engine says that something may be left there, and
once it is back, a clean-up finds it, of whatever kind it is."""

import contextlib
import os
import re

import places
import pytest
import servers_rclone
import servers_s3
import servers_sftp
from engine.destinations import s3_bucket
from engine.errors import BackupError, Cancelled
from orders import PATH, backup_order, copy_order, discard_order
from orders import run_here as run

OTHER_PATH = PATH.replace("T02", "T03")


class LocalPlace:
    """A folder on a disk that is unmounted."""

    kind = "local"

    def __init__(self, folder):
        self.path = os.path.join(folder, "disk")
        self.settings = {"path": self.path}

    def die(self):
        os.rename(self.path, f"{self.path}.away")

    def come_back(self):
        os.rename(f"{self.path}.away", self.path)

    def left(self):
        return places.files(self.path)


class SFTPPlace:
    kind = "sftp"

    def __init__(self, server):
        self.settings = server.settings("archives")
        self.die, self.come_back = server.stop, server.start
        self._root = os.path.join(server.home, "archives")

    def left(self):
        return places.files(self._root)


class WebDAVPlace:
    kind = "rclone"

    def __init__(self, server):
        self.settings = {"config": server.configuration(), "remote": "there"}
        self.die, self.come_back = server.kill, server.start
        self._root = server.folder

    def left(self):
        return places.files(self._root)


class BucketPlace:
    """A bucket whose server is behind a network that breaks, by boto3 or by rclone."""

    def __init__(self, server, proxy, kind="s3"):
        self.kind = kind
        self._server, self.proxy = server, proxy
        self.settings = {
            **servers_s3.KEYS, "bucket": servers_s3.BUCKET, "path_style": True,
            "endpoint_url": proxy.url,
        }  # fmt: skip
        if kind == "rclone":
            config = servers_rclone.section(
                "there", type="s3", provider="Other", endpoint=proxy.url, chunk_size="5Mi",
                region=servers_s3.REGION, access_key_id=servers_s3.KEYS["access_key"],
                secret_access_key=servers_s3.KEYS["secret_key"],
            )  # fmt: skip
            self.settings = {"config": config, "remote": "there", "path": servers_s3.BUCKET}

    def die(self):
        self.proxy.early = lambda handler: handler.break_off() or True

    def come_back(self):
        self.proxy.early = None

    def left(self):
        return [*self._server.objects(), *self._server.uploads()]


@contextlib.contextmanager
def place_of(kind, folder):
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        if kind == "local":
            yield LocalPlace(folder)
        elif kind == "sftp":
            yield SFTPPlace(enter(servers_sftp.sftp_server(os.path.join(folder, "sftp"))))
        elif kind == "webdav":
            root = os.path.join(folder, "served")
            os.mkdir(root)
            yield WebDAVPlace(enter(servers_rclone.webdav(root)))
        else:
            server = enter(servers_s3.S3Server())
            server.make_bucket()
            proxy = enter(servers_s3.FaultyProxy(server))
            yield BucketPlace(server, proxy, kind)


REMOTE = ("sftp", "webdav", "s3", "rclone")


@pytest.fixture(params=["local", *REMOTE])
def place(request, folder, monkeypatch):
    if request.param in ("webdav", "rclone") and not servers_rclone.installed():
        pytest.skip("rclone is not installed")
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)
    monkeypatch.setattr(s3_bucket, "HASTY_ATTEMPTS", 1)
    with place_of(request.param, folder) as place:
        yield place


def cancelled(order, place):
    """Carry out a backup that is cancelled when the archive was sent, as its destination dies;
    return the error."""

    def on_event(control, event):
        if event["event"] == "ready":
            place.die()
            control.cancel()

    with pytest.raises(Cancelled) as ended:
        run(order, on_event)
    return ended.value


def test_what_cannot_be_removed_is_named_and_goes_once_the_destination_is_back(
    odoo, folder, place
):
    copy = copy_order(folder, "", 7, kind=place.kind, settings=place.settings)
    order = backup_order(odoo, folder, [copy])
    error = cancelled(order, place)
    assert error.as_dict()["remains"] == [{"id": 7, "path": PATH}]
    # While it is away, nothing is believed to be removed.
    result = run(discard_order(order))["copies"]
    assert [each["ok"] for each in result] == [False]
    place.come_back()
    # What rclone has of a small archive stays in its memory until the end of the stream.
    assert place.left() or place.kind == "rclone", "nothing was left unfinished"
    # The next good backup does not find it, for it has a path of its own.
    good = {**copy, "archive_path": OTHER_PATH}
    run(backup_order(odoo, folder, [good], token="run-2-1"))
    assert len(place.left()) > 2 or place.kind == "rclone"
    assert run(discard_order(order))["copies"] == [{"id": 7, "ok": True}]
    assert sorted(place.left()) == sorted([OTHER_PATH, f"{OTHER_PATH}.json"])


def test_an_upload_that_dies_leaves_nothing_that_is_not_named(odoo, folder, place):
    """Also where the archive came to rest elsewhere."""
    copy = copy_order(folder, "", 2, kind=place.kind, settings=place.settings)
    order = backup_order(odoo, folder, ["first", copy])
    result = run(order, lambda _control, event: event["event"] == "ready" and place.die())
    stored, missed = result["copies"]
    assert (stored["stored"], missed["stored"], missed["may_remain"]) == (True, False, True)
    place.come_back()
    run(discard_order(order, copies=[copy]))
    assert place.left() == []


# A folder of this machine that is not there is made.
@pytest.mark.parametrize("place", REMOTE, indirect=True)
def test_a_destination_that_was_away_all_the_time_is_not_named(odoo, folder, place):
    place.die()
    copy = copy_order(folder, "", 2, kind=place.kind, settings=place.settings)
    with pytest.raises(BackupError) as failed:
        run(backup_order(odoo, folder, [copy]))
    place.come_back()
    assert "remains" not in failed.value.as_dict()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_upload_that_was_begun_behind_a_proxy_that_gave_up_is_named(
    odoo, folder, monkeypatch, status
):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)
    with place_of("s3", folder) as place:

        def give_up(handler):
            if not re.search(r"\?uploads$", handler.path) or handler.command != "POST":
                return False
            handler.hand_on(b"")
            handler.answer(status, body=b"<html>Gateway</html>")
            return True

        place.proxy.fault = give_up
        copy = copy_order(folder, "", 2, kind=place.kind, settings=place.settings)
        order = backup_order(odoo, folder, [copy])
        with pytest.raises(BackupError) as failed:
            run(order)
        assert place.left() == [PATH]
        assert failed.value.as_dict()["remains"] == [{"id": 2, "path": PATH}]
        place.proxy.fault = None
        run(discard_order(order))
        assert place.left() == []
