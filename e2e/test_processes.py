"""What the environment says of the processes that it started."""

import subprocess

from devenv import processes

SLEEP = ("sleep", "3600")


def test_a_process_is_seen_as_soon_as_it_was_started():
    for _time in range(50):
        with subprocess.Popen(SLEEP, env=processes.marked_environment("seen")) as process:
            seen = processes.is_running(process.pid, "sleep")
            marked = processes.marked_processes("seen")
            process.kill()
        assert seen
        assert process.pid in marked
        assert not processes.is_running(process.pid, "sleep")
