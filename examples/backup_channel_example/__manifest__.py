{
    "name": "Backup Scheduler: ntfy",
    "summary": "Example of an addon that adds a kind of alert channel to Backup Scheduler",
    "version": "19.0.1.0.0",
    "category": "Administration",
    "license": "LGPL-3",
    "author": "The Backup Scheduler developers",
    "depends": ["backup_scheduler"],
}
