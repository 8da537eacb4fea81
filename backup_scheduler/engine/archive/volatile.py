"""The tables whose rows Odoo deletes by itself, soon after it has opened a database.

A server that has just restored a database runs its scheduled actions there, and its housekeeping
first of all (*Base: Auto-vacuum internal data*), which a neutralized copy runs too. What is in
these tables is a message on its way, a trace of a session or a cache, and is no one's data: a
restored database may have fewer of these rows than the archive. Source: the methods that Odoo 14 to
19 marks by ``@api.autovacuum``. The tables of wizards, which it empties as well, are named by
the database itself (``ir_model.transient``).
"""

VOLATILE = frozenset((
    # base
    "ir_cron_progress", "ir_cron_trigger", "ir_profile", "orm_signaling_assets",
    "orm_signaling_default", "orm_signaling_groups", "orm_signaling_registry",
    "orm_signaling_routing", "orm_signaling_stable", "orm_signaling_templates", "res_device_log",
    "res_users_log",
    # bus, mail
    "bus_bus", "bus_presence", "discuss_channel_rtc_session", "mail_channel_rtc_session",
    "mail_message_translation", "mail_presence",
))  # fmt: skip
