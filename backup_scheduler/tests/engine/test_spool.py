"""The spool: a file that is read while it grows."""

import hashlib
import os
import random
import threading
import time

import places
import pytest
from engine import spool as spool_module
from engine.errors import ArchiveTooLarge, Cancelled, NoSpace, SpoolFailed
from engine.spool import Digest, Spool, check_space, free_space, human_size, sweep
from waiting import joined, until

FULL_DISK = """
import resource, sys
from engine.errors import NoSpace
from engine.spool import Digest, Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
try:
    with Spool(sys.argv[1], "run-1") as spool:
        digest = Digest(spool)
        while True:
            spool.write(bytes(1 << 20))
except NoSpace as error:
    print(error.code, spool.path in error.message)
"""


class Follower(threading.Thread):
    """Reads a spool to its end, at its own speed."""

    def __init__(self, spool, pause=0.0):
        super().__init__(daemon=True)
        self.content, self.error = b"", None
        self._spool, self._pause = spool, pause
        self.start()

    def run(self):
        try:
            for block in self._spool.follow():
                self.content += block
                time.sleep(self._pause)
        except Exception as error:  # noqa: BLE001 - the test asks which one
            self.error = error

    def end(self):
        return joined(self)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "spool")


def blocks(count, seed=1):
    dice = random.Random(seed)  # noqa: S311
    return [dice.randbytes(dice.randrange(1, 40_000)) for _number in range(count)]


def test_followers_of_all_speeds_read_all_of_a_growing_file(folder):
    with Spool(folder, "run-1") as spool:
        followers = [Follower(spool), Follower(spool, 0.01), Follower(spool, 0.03)]
        written = blocks(60)
        for number, block in enumerate(written):
            spool.write(block)
            if number == 30:
                followers.append(Follower(spool))
        spool.finish()
        followers.append(Follower(spool))
        for follower in followers:
            assert follower.end().content == b"".join(written)
        assert spool.size == sum(map(len, written))


def test_a_follower_reads_what_is_there_before_more_comes(folder):
    with Spool(folder, "run-1") as spool:
        follower = spool.follow()
        spool.write(b"first")
        assert bytes(next(follower)) == b"first"
        spool.write(b"second")
        assert bytes(next(follower)) == b"second"


def test_the_writer_does_not_wait_for_a_follower_that_does_nothing(folder):
    with Spool(folder, "run-1") as spool:
        follower = spool.follow()
        spool.write(b"x")
        next(follower)
        for _number in range(50):
            spool.write(bytes(1 << 20))
        assert os.path.getsize(spool.path) == spool.size == (50 << 20) + 1


def test_an_empty_file_ends_too(folder):
    with Spool(folder, "run-1") as spool:
        follower = Follower(spool)
        spool.finish()
        assert follower.end().content == b""
        assert follower.error is None


def test_the_digest_is_the_sha256_of_what_was_written(folder):
    written = blocks(20)
    with Spool(folder, "run-1") as spool:
        digest = Digest(spool)
        for block in written:
            spool.write(block)
        spool.finish()
        assert digest.hexdigest() == hashlib.sha256(b"".join(written)).hexdigest()


def test_the_digest_of_a_file_that_failed_is_its_failure(folder):
    with Spool(folder, "run-1") as spool:
        digest = Digest(spool)
        spool.write(b"some")
        spool.fail(Cancelled("stop"))
        with pytest.raises(Cancelled):
            digest.hexdigest()


def test_a_failure_reaches_followers_that_wait(folder):
    with Spool(folder, "run-1") as spool:
        followers = [Follower(spool), Follower(spool)]
        spool.write(b"some")
        until(lambda: all(follower.content for follower in followers))
        spool.fail(Cancelled("first"))
        spool.fail(Cancelled("second"))
        for follower in followers:
            assert str(follower.end().error) == "first"


def test_leaving_the_block_releases_followers_of_an_unfinished_file(folder):
    with Spool(folder, "run-1") as spool:
        follower = Follower(spool)
        spool.write(b"some")
        until(lambda: follower.content)
    assert follower.end().error is not None


def test_a_file_that_is_cut_under_its_reader_is_a_failure(folder):
    with Spool(folder, "run-1") as spool:
        spool.write(b"some bytes")
        os.truncate(spool.path, 4)
        spool.finish()
        assert isinstance(Follower(spool).end().error, SpoolFailed)


@pytest.mark.parametrize(
    "error", [None, Cancelled("stop"), KeyError("defect"), KeyboardInterrupt()]
)
def test_the_file_is_gone_after_the_block_however_it_ends(folder, error):
    with pytest.raises(type(error)) if error else open(os.devnull), Spool(folder, "run-1") as spool:
        spool.write(b"some")
        assert places.files(folder) == ["run-1.spool"]
        if error:
            raise error
    assert places.files(folder) == []


def test_only_its_owner_can_read_the_file(folder):
    with Spool(folder, "run-1") as spool:
        assert os.stat(spool.path).st_mode & 0o777 == 0o600
        assert os.stat(folder).st_mode & 0o777 == 0o700


def test_one_name_is_used_once(folder):
    with Spool(folder, "run-1") as spool:
        spool.write(b"mine")
        with pytest.raises(SpoolFailed), Spool(folder, "run-1"):
            pytest.fail("the file was taken over")
        assert places.files(folder) == ["run-1.spool"]


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolFailed, match="file"), Spool(str(tmp_path / "file"), "run-1"):
        pytest.fail("there is no such folder")


# --- what others left ---------------------------------------------------------------------------


def test_a_sweep_leaves_what_a_living_process_holds_and_removes_what_a_killed_one_left(folder):
    os.makedirs(folder)
    paths = [os.path.join(folder, name) for name in ("living.spool", "killed.spool")]
    with (
        places.held_by_another_process(paths[0]),
        places.held_by_another_process(paths[1]) as killed,
    ):
        assert sweep(folder) == []
        killed.kill()
        killed.wait()
        assert sweep(folder) == ["killed.spool"]
        assert places.files(folder) == ["living.spool"]


def test_a_sweep_leaves_the_file_of_this_process(folder):
    with Spool(folder, "run-1") as spool:
        assert sweep(folder) == []
        assert os.path.exists(spool.path)


def test_a_sweep_leaves_other_files_alone(folder):
    os.makedirs(folder)
    open(os.path.join(folder, "notes.txt"), "w").close()
    assert sweep(folder) == []
    assert sweep(os.path.join(folder, "missing")) == []
    assert places.files(folder) == ["notes.txt"]


def test_a_file_that_this_user_may_not_open_stops_no_sweep(folder, monkeypatch):
    """Of another user, in a shared folder. Root may open any, so the refusal is made here."""
    os.makedirs(folder)
    for name in ("foreign.spool", "ours.spool"):
        open(os.path.join(folder, name), "w").close()
    really_open = os.open

    def refusing(path, *arguments, **options):
        if "foreign" in str(path):
            raise PermissionError(13, "Permission denied")
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    assert sweep(folder) == ["ours.spool"]


def test_a_file_system_without_locks_is_refused_and_nothing_stays_there(folder, monkeypatch):
    def refusing(*_arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(spool_module.fcntl, "flock", refusing)
    with pytest.raises(SpoolFailed, match="No locks"), Spool(folder, "run-1"):
        pytest.fail("an unlocked file would be swept while it is in use")
    assert places.files(folder) == []


# --- the disk -----------------------------------------------------------------------------------


def test_a_file_that_may_not_grow_is_a_full_disk_and_nothing_stays(folder):
    assert places.run_python(FULL_DISK, folder) == "no_space True\n"
    assert places.files(folder) == []


if places.can_mount():

    def test_a_full_disk_is_named_and_nothing_stays(tmp_path):
        with places.tmpfs(str(tmp_path / "disk"), 2 << 20) as folder:
            with pytest.raises(NoSpace, match="full"), Spool(folder, "run-1") as spool:
                followed = spool.follow()
                while True:
                    spool.write(bytes(700_000))
                    next(followed)
            with pytest.raises(NoSpace):
                next(followed)
            assert places.files(folder) == []


def test_too_little_space_is_told_before_it_is_needed(folder):
    check_space(folder, free_space(folder) // 2)
    with pytest.raises(NoSpace, match=r"[0-9.]+ [kMGT]?B free.*1000000\.0 TB"):
        check_space(folder, 10**18)


def test_the_space_of_a_folder_that_is_not_there_is_that_of_the_one_above(tmp_path, monkeypatch):
    assert free_space(str(tmp_path / "a" / "b" / "c")) > 0
    monkeypatch.chdir(tmp_path)
    assert free_space("relative") > 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_340_000, "2.3 MB"),
     (7_000_000_000, "7.0 GB"), (5 * 10**15, "5000.0 TB")],
)  # fmt: skip
def test_sizes_read_as_people_write_them(size, text):
    assert human_size(size) == text


def test_a_digest_that_breaks_off_is_an_error_and_no_digest(folder, monkeypatch):
    def short_of_memory(spool):
        yield b"first"
        raise MemoryError

    monkeypatch.setattr(Spool, "follow", short_of_memory)
    with Spool(folder, "run-1") as spool, pytest.raises(MemoryError):
        Digest(spool).hexdigest()


# --- bounds ---------------------------------------------------------------------------------------


def test_more_than_the_limit_is_not_written(folder):
    with Spool(folder, "run-1", limit=1000) as spool:
        spool.write(bytes(1000))
        with pytest.raises(ArchiveTooLarge) as too_large:
            spool.write(b"x")
        assert os.path.getsize(spool.path) == 1000
    assert "1.0 kB" in too_large.value.message


def test_what_is_kept_free_on_the_disk_stays_free_while_writing(folder, monkeypatch):
    """Others write to the disk too: it is looked at again and again."""
    free = spool_module.RESERVE + (40 << 20)
    monkeypatch.setattr(spool_module, "reserve_of", lambda folder: spool_module.RESERVE)
    monkeypatch.setattr(spool_module, "free_space", lambda folder: free - spool.size)
    with Spool(folder, "run-1") as spool:
        with pytest.raises(NoSpace):
            while True:
                spool.write(bytes(1 << 20))
        assert spool.size == 40 << 20
        assert spool_module.human_size(spool_module.RESERVE) in str(no_space(spool))


def no_space(spool):
    spool._look_at = 0
    with pytest.raises(NoSpace) as error:
        spool.write(bytes(1 << 20))
    return error.value


def test_the_reserve_of_a_small_disk_is_a_share_of_it(folder):
    status = os.statvfs(os.path.dirname(folder))
    total = status.f_blocks * status.f_frsize
    assert spool_module.reserve_of(folder) == min(spool_module.RESERVE, total // 100)
