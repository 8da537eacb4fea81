from .models.backup_dispatcher import EXECUTOR

PARAMETER = "backup_scheduler.executor"


def post_init_hook(env):
    """Choose queue_job where nobody has chosen yet, where its runner is at work (without one,
    backups would be queued and never made), and where no folder is another one on each machine."""
    parameters = env["ir.config_parameter"].sudo()
    if parameters.get_param(PARAMETER) or not env["backup.dispatcher"]._runner_is_at_work():
        return
    if any(one._is_of_one_machine() for one in env["backup.destination"].sudo().search([])):
        return
    parameters.set_param(PARAMETER, EXECUTOR)


def uninstall_hook(env):
    """Give the backups back to the worker process."""
    parameters = env["ir.config_parameter"].sudo()
    if parameters.get_param(PARAMETER) == EXECUTOR:
        parameters.set_param(PARAMETER, "process")
