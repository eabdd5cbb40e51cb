"""The schema's history: alembic scripts, run at start."""
