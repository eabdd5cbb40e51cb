"""OutageCast tells a provider's customers about an outage: exactly those affected, when promised, once."""

__version__ = "0.1.0"
