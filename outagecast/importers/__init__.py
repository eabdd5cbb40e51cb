"""Sources of customers, circuits and the network: batches of canonical rows, with mistakes and rejects by line."""
