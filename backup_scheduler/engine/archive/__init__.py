"""Archives: what an Odoo zip and a pg_dump custom dump hold, and whether all of it is there."""
