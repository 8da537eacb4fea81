OURS = [("key", "=like", r"backup\_scheduler.%")]


def uninstall_hook(env):
    """Remove the settings, which no record of ours owns. The key of the secrets stays where it is:
    another database of this server may use it."""
    env["ir.config_parameter"].sudo().search(OURS).unlink()
