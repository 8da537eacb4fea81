{
    "name": "Backup Scheduler: queue_job",
    "summary": "Makes the backups of Backup Scheduler on several machines, through OCA queue_job",
    "version": "19.0.3.0.0",
    "category": "Administration",
    "license": "LGPL-3",
    "author": "The Backup Scheduler developers",
    "depends": ["backup_scheduler", "queue_job"],
    "data": [
        "data/queue_job_data.xml",
        "views/backup_run_views.xml",
        "views/res_config_settings_views.xml",
    ],
    "auto_install": True,
    "post_init_hook": "post_init_hook",
    "uninstall_hook": "uninstall_hook",
}
