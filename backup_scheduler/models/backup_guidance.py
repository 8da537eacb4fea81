from markupsafe import Markup

from odoo import api, models

from . import arguments
from .instance.backup_instance_overview import SETUP_ACTION

LEAD_ON = Markup('<p><a type="action" name="%s" class="btn btn-primary">%s</a></p>')


class BackupGuidance(models.AbstractModel):
    """A list that is empty before the first server is set up, and leads there."""

    _name = "backup.guidance"
    _description = "Leads to the first set-up"

    @api.model
    @arguments.accepts(help_message=arguments.text)
    def get_empty_list_help(self, help_message):
        """Add the way to the first server, for those who may set one up."""
        told = super().get_empty_list_help(help_message)
        # Actions are read as the superuser, on behalf of the user.
        if not self.env.user.has_group("backup_scheduler.group_backup_manager"):
            return told
        return (told or Markup()) + LEAD_ON % (SETUP_ACTION, self.env._("Set Up a Server"))


class BackupInstance(models.Model):
    _name = "backup.instance"
    _inherit = ["backup.instance", "backup.guidance"]


class BackupDatabase(models.Model):
    _name = "backup.database"
    _inherit = ["backup.database", "backup.guidance"]


class BackupJob(models.Model):
    _name = "backup.job"
    _inherit = ["backup.job", "backup.guidance"]


class BackupRun(models.Model):
    _name = "backup.run"
    _inherit = ["backup.run", "backup.guidance"]
