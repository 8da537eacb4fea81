from odoo import api, models
from odoo.tools import SQL

AVERAGED = ("size:avg", "duration:avg")


class BackupRunGrouping(models.Model):
    """What lists, pivots and graphs of runs make of many of them."""

    _inherit = "backup.run"

    @api.model
    def _read_group_select(self, aggregate_spec, query):
        """Average over the runs that have a size or a duration at all.

        A run that failed, or still goes on, has none: as a zero it would make the databases look
        smaller than they are, and the backups faster.
        """
        selected = super()._read_group_select(aggregate_spec, query)
        if aggregate_spec not in AVERAGED:
            return selected
        name = aggregate_spec.partition(":")[0]
        return SQL("AVG(NULLIF(%s, 0))", self._field_to_sql(self._table, name, query))

    def _web_read_group_groupby_formatter(self, groupby_spec, values):
        """Give the web client no empty name for runs that never learned of which database they are.

        It shows the label of a field that is not set for what is false, and nothing for a text
        without characters.
        """
        formatter = super()._web_read_group_groupby_formatter(groupby_spec, values)
        if groupby_spec != "database_name":
            return formatter

        def formatter_of_databases(value):
            value, domain = formatter(value)
            return value or False, domain

        return formatter_of_databases
