"""Restoring: into a scratch database to prove an archive, into a PostgreSQL, on an Odoo server."""
