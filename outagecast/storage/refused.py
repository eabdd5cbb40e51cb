"""Why a database is not used."""


class DatabaseRefused(Exception):
    """The database cannot be used as it is: one clear line with the mend."""
