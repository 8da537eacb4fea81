from .models.backup_dispatcher import EXECUTOR

PARAMETER = "backup_scheduler.executor"


def post_init_hook(env):
    """Choose queue_job where nobody has chosen yet, and where its runner is at work: without one,
    backups would be queued and never made."""
    parameters = env["ir.config_parameter"].sudo()
    if not parameters.get_param(PARAMETER) and env["backup.dispatcher"]._runner_is_at_work():
        parameters.set_param(PARAMETER, EXECUTOR)


def uninstall_hook(env):
    """Give the backups back to the worker process."""
    parameters = env["ir.config_parameter"].sudo()
    if parameters.get_param(PARAMETER) == EXECUTOR:
        parameters.set_param(PARAMETER, "process")
