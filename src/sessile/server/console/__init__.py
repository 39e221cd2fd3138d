"""The operators' console: its login, its API and its live feed. One file for each resource; `table` has every route with the right that it needs."""
