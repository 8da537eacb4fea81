"""The program that Apprise runs in: see ``__main__.py``."""
