"""The cache protocol as a model: every order of its steps and of faults, on a small scale. What it checks is in docs/explanation/cache.md."""
