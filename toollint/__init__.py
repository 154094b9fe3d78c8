"""toollint: static analysis of lifetimes in Python programs built around agent tools."""
