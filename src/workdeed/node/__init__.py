"""The agent on an operator's machine: it runs what the chain assigns to its license."""
