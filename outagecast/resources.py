"""Where the files beside the code are: the templates and the example of the settings."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def templates_folder() -> Path:
    """The folder of the shipped templates: packed into the wheel, or the checkout's."""
    return _packed_or_checkout("_templates", "templates")


def example_config() -> Path:
    """`config.example.toml`: packed into the wheel, or the checkout's."""
    return _packed_or_checkout("_config.example.toml", "config.example.toml")


def _packed_or_checkout(packed: str, name: str) -> Path:
    inside = _PACKAGE / packed
    return inside if inside.exists() else _PACKAGE.parent / name
