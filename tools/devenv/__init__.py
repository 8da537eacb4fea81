"""The development environment: a real Odoo 19, PostgreSQL and browser in one folder.

It needs nothing but the standard library, because it is what installs everything else.
"""
