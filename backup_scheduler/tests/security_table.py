"""Who may do what: the least role for each model and each public method of the product.

The roles are those of ``security_world.ROLES``; each may do what the ones before it may. ``nobody``
is the superuser alone. What is not in these tables fails ``test_security_walk``: decide who may
call a new method or reach a new model, write it here, and let the code refuse all others.
"""

NOBODY = "nobody"
# It answers with an action, which names no record's contents and does nothing: what the action
# opens refuses by itself.
OPENS = "opens"

# Per model: who reads, and who creates, writes and deletes.
MODELS = {
    "backup.alert": ("user", NOBODY),
    "backup.alert.channel": ("user", "manager"),
    "backup.archive.deletion": ("manager", "manager"),
    "backup.copy": ("user", NOBODY),
    "backup.database": ("user", NOBODY),
    "backup.destination": ("user", "manager"),
    "backup.gap.acceptance": ("manager", "manager"),
    "backup.incident": ("user", NOBODY),
    "backup.instance": ("user", "manager"),
    "backup.job": ("user", "manager"),
    "backup.known.gap": ("user", NOBODY),
    "backup.restore": ("user", NOBODY),
    "backup.restore.wizard": ("manager", "manager"),
    "backup.retention.preview": ("operator", "operator"),
    "backup.retention.preview.line": ("operator", "operator"),
    "backup.run": ("user", NOBODY),
    "backup.run.confirmation": ("operator", "operator"),
    "backup.setup": ("manager", "manager"),
    "backup.setup.database": ("manager", "manager"),
    "backup.task": ("user", NOBODY),
    "backup.verification": ("operator", "operator"),
}

# Per model: who calls which of the product's own methods; those of Odoo follow from MODELS.
METHODS = {
    "backup.alert.channel": {
        "action_mute_day": "manager",
        "action_open_alerts": OPENS,
        "action_send_digest": "manager",
        "action_send_test": "manager",
        "action_unmute": "manager",
        "send_test": "manager",
    },
    "backup.archive.deletion": {"action_delete": "manager"},
    "backup.copy": {
        "action_download": OPENS,
        "action_open_run": "user",
        "retry": "operator",
        "verify": "operator",
    },
    "backup.database": {
        "action_open_known_gaps": OPENS,
        "action_open_last_good": "user",
        "action_open_runs": "user",
        "action_protect": OPENS,
        "run_now": "operator",
    },
    "backup.destination": {
        "action_accept_folder": "manager",
        "action_accept_host_key": "manager",
        "action_check": "operator",
        "action_import_archives": "manager",
        "action_import_unsigned": "manager",
        "action_open_copies": OPENS,
        "check": "operator",
        "import_archives": "manager",
    },
    "backup.gap.acceptance": {"action_accept": "manager"},
    "backup.doctor": {"health": "user"},
    "backup.incident": {"action_open_runs": "user"},
    "backup.instance": {
        "action_open_databases": OPENS,
        "action_open_incidents": OPENS,
        "action_open_jobs": OPENS,
        "action_open_runs": OPENS,
        "action_set_up_job": OPENS,
        "action_test_connection": "operator",
        "refresh_databases": "operator",
        "test_connection": "operator",
    },
    "backup.job": {
        "action_delete": "manager",
        "action_forget_ping": "manager",
        "action_open_runs": OPENS,
        "action_pause": "manager",
        "action_preview_retention": OPENS,
        "action_resume": "manager",
        "action_run_now": "operator",
        "action_test_ping": "manager",
        "advice": "user",
        "default_timezone": "portal",
        "preview_cron": "portal",
        "preview_retention": "user",
        "run_now": "operator",
        "test_ping": "manager",
        "upcoming_fires": "user",
    },
    "backup.known.gap": {"withdraw": "manager"},
    "backup.overview": {"action_set_up": "manager", "active": "user", "load": "user"},
    "backup.restore": {"cancel": "manager"},
    "backup.restore.wizard": {"action_restore": "manager"},
    "backup.retention.preview": {"action_use": "manager"},
    "backup.run": {
        "accept_gaps": "manager",
        "action_accept_gaps": "manager",
        "action_delete_archives": OPENS,
        "action_open_known_gaps": "user",
        "action_restore": OPENS,
        "action_verify": "operator",
        "cancel": "operator",
        "delete_archives": "manager",
        "pin": "operator",
        "restore": "manager",
        "retry": "operator",
        "unpin": "operator",
        "verify": "operator",
    },
    "backup.run.confirmation": {"action_run": "operator"},
    "backup.setup": {
        "action_back": "manager",
        "action_check_destinations": "manager",
        "action_choose_all": "manager",
        "action_choose_none": "manager",
        "action_leave_instance": "manager",
        "action_next": "manager",
        "action_start": "manager",
        "action_start_now": "manager",
        "action_use_known": "manager",
    },
    "backup.task": {"action_open": "user", "cancel": "operator"},
    "backup.verification": {"action_verify": "operator"},
}

# What a call is given, by the name of the method; what is left out has a default.
ARGUMENTS = {
    "preview_cron": ["0 2 * * *"],
    "restore": ["walked"],
    "upcoming_fires": ["2026-01-01 00:00:00", "2026-01-03 00:00:00"],
}
