"""How `ape run deploy` works: compile, plan, send, record, check."""
