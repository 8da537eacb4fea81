"""What rclone and the services behind it say, and what is made of it. The lines are of public
reports, shortened."""

import pytest
from engine.destinations.rclone_words import failure
from engine.messages import _

DRIVE = "Failed to rcat: googleapi: Error 403: "
REFUSED = "dial tcp 127.0.0.1:1: connect: connection refused"
LIMITED, DENIED, ADDRESS, GENERAL = (
    "limits how often", "refuses the user", "Check the address", "message is rclone's own"
)  # fmt: skip
PATH = "nas:backups/{name}/2026-11-20T02-00-00Z.zip"


def told(line, path=PATH, earlier=()):
    what = _("%(path)s cannot be written", path=path)
    return failure(what, 1, [*earlier, line], [])


@pytest.mark.parametrize(
    "line",
    [
        f"{DRIVE}Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of "
        "service 'drive.googleapis.com' for consumer 'project_number:1'., rateLimitExceeded",
        f"{DRIVE}User rate limit exceeded, userRateLimitExceeded",
        f"{DRIVE}User Rate Limit Exceeded. Rate of requests for user exceed configured project "
        "quota, you may consider re-evaluating expected per-user traffic to the API and adjust "
        "project quota limits accordingly., userRateLimitExceeded",
        "Failed to rcat: activityLimitReached: throttledRequest: The request has been throttled "
        "(429 Too Many Requests)",
        "Failed to rcat: too_many_requests/...: retry after 300 s",
        "Failed to copy: SlowDown: Please reduce your request rate. status code: 503",
    ],
)
def test_a_rate_limit_is_neither_a_full_disk_nor_a_refused_login(line):
    error = told(line)
    assert error.code == "destination_failed"
    assert LIMITED in error.hint


@pytest.mark.parametrize(
    "line",
    [
        f"{DRIVE}The user's Drive storage quota has been exceeded., storageQuotaExceeded",
        "Failed to rcat: write /srv/x.part: no space left on device",
        "Failed to rcat: Insufficient Storage: 507 Insufficient Storage",
    ],
)
def test_a_full_storage_is_told_as_one(line):
    assert told(line).code == "no_space"
    # Although it was asked too often before that.
    assert told(line, earlier=[f"{DRIVE}userRateLimitExceeded"]).code == "no_space"


@pytest.mark.parametrize(
    "line", ["Failed to rcat: 401 Unauthorized", "couldn't list: 530 Login incorrect"]
)
def test_a_refused_login_has_its_own_code(line):
    error = told(line)
    assert (error.code, DENIED in error.hint) == ("destination_denied", True)


NAMES = ["Quota_GmbH-1a2b", "Shop-403", "403", "429", "certificates", "expired", "forbidden",
         "disk full", "timeout"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('Failed to rcat: Post "https://dav.example.com/{name}/db/2026.zip": ' + REFUSED, ADDRESS),
        ("{name}/2026-11-20T02-00-00Z.zip: Failed to copy: " + REFUSED, ADDRESS),
        ("backups/{name}: error listing: " + REFUSED, ADDRESS),
        ('Failed to open "{name}": odd', GENERAL),
        ("/srv/backups/{name}/2026-11-20T02-00-00Z.zip: odd", GENERAL),
    ],
)
def test_a_name_of_ours_is_not_the_words_of_the_storage(name, line, hint):
    error = told(line.format(name=name), PATH.format(name=name))
    assert error.code == "destination_failed"
    assert hint in error.hint


def test_a_status_is_still_read_where_a_name_is_the_same_number():
    error = told("/srv/backups/403/x.zip: Failed to copy: 403 Forbidden", PATH.format(name="403"))
    assert error.code == "destination_denied"


def test_what_rclone_says_is_bounded():
    error = told("Failed to rcat: \x1b[31m" + "x" * 44_000)
    assert len(error.message) < 600
    assert error.message.isprintable()
