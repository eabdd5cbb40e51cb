"""The commands, a module for each group of them. `cli.py` names them; each is imported only when it is asked for."""
