"""The schema's history: alembic scripts, run at start."""

HEAD = "0003"
"""The newest script's revision: known without loading any of them (a test holds the two together)."""
