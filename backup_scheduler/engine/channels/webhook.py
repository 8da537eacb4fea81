from .post import PostChannel


class WebhookChannel(PostChannel):
    """All that is known, as JSON, for programs."""

    LABEL = "Webhook (JSON)"
    NOTE = "The incidents are posted there as JSON."

    def body(self, facts):
        return {**facts, "text": "\n".join(facts["lines"])}
