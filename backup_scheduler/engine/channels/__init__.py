"""The kinds of alert channel. A new kind is one module here and one line in this registry."""

from ..kinds import Registry

KINDS = Registry("alert channel")
KINDS.register("webhook", f"{__name__}.webhook:WebhookChannel")
KINDS.register("slack", f"{__name__}.slack:SlackChannel")
KINDS.register("teams", f"{__name__}.teams:TeamsChannel")
KINDS.register("telegram", f"{__name__}.telegram:TelegramChannel")
KINDS.register("apprise", f"{__name__}.apprise:AppriseChannel")
# Not offered as a channel: each job has an address of its own.
PINGS = Registry("ping")
PINGS.register("ping", f"{__name__}.ping:PingChannel")


def channel_of(notice):
    """Return the class that sends a notice: ``kind``, and ``code`` of a kind of another addon."""
    kinds = PINGS if notice["kind"] in PINGS.targets else KINDS
    return kinds.load(notice["kind"], notice.get("code"))
