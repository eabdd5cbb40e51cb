"""The database: tables, queries by noun, the read side of the pages. SQL lives here alone and works on batches."""
