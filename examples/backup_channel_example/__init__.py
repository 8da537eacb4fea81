from odoo.addons.backup_scheduler.kinds import register_channel

register_channel("ntfy", "odoo.addons.backup_channel_example.ntfy:NtfyChannel")
