"""What a bucket lists: by either version of the request, to its end."""

import itertools

from ..errors import DestinationFailed
from ..messages import _
from .s3_errors import Denied, NotKnown

# The second version of the request, and the first, for servers that do not know the second.
NEW, OLD = "list_objects_v2", "list_objects"
# Keys of a page, where a server does not say how many there may be.
PAGE = 1000
# Pages in a row without an object, as servers give them where many were deleted; and objects that
# begin with the name of one archive. A server that gives more would be asked for ever.
EMPTY_PAGES, BESIDE = 100, 10_000


def objects(bucket, prefix):
    """Yield every object whose key begins so (``Key``, ``Size``), in the order of their bytes.

    A server that does not know the second version of the request is asked by the first. So is one
    that answers it as the first: it says that there is more, and not how to ask for that.
    """
    what = _("The bucket %(name)s cannot be listed", name=bucket.name)
    operation, going_on, last, empty = NEW, {}, "", 0
    while True:
        try:
            page = bucket.ask(operation, what, Prefix=prefix, **going_on)
        except NotKnown:
            if operation == OLD:
                raise
            operation, going_on = OLD, {"Marker": last} if last else {}
            continue
        found = page.get("Contents", ())
        yield from found
        last = found[-1]["Key"] if found else last
        if not is_cut(page):
            return
        empty = 0 if found else empty + 1
        before, (operation, going_on) = (operation, going_on), following(operation, page, last)
        if before == (operation, going_on) or empty >= EMPTY_PAGES:
            raise DestinationFailed(
                _("%(what)s: the server gives the same part of it again and again.", what=what)
            )


def is_cut(page):
    """Return whether there is more than this page; one that does not say so is full."""
    if "IsTruncated" in page:
        return page["IsTruncated"]
    return len(page.get("Contents", ())) >= (page.get("MaxKeys") or PAGE)


def following(operation, page, last):
    """Return the request for what comes after a page whose last key is ``last``."""
    if operation == NEW and page.get("NextContinuationToken"):
        return NEW, {"ContinuationToken": page["NextContinuationToken"]}
    return OLD, {"Marker": page.get("NextMarker") or last}


def listed(bucket, *keys):
    """Return those of the keys that the bucket lists, with their sizes; nothing where it may not
    or cannot be listed. The first key is the beginning of the others."""
    try:
        return {
            found["Key"]: found["Size"]
            for found in itertools.islice(objects(bucket, keys[0]), BESIDE)
            if found["Key"] in keys
        }
    except (Denied, NotKnown):
        return {}
