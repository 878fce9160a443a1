"""What maintainers run; `ape run` lists those that it can run."""
