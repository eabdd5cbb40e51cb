"""Nouns and decisions: no I/O, no clock, no logging, no randomness. Everything here is a pure function of its
arguments.
"""
