"""HTTP in: the desk, public pages, customers' pages, the API, hooks and callbacks. It decides nothing about outages."""
