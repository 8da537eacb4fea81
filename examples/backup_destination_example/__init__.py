from odoo.addons.backup_scheduler.kinds import register_destination

register_destination("monthly", "odoo.addons.backup_destination_example.monthly:Monthly")
