"""A real server process is killed with -9, again and again, while clients work; then the log is held against what was acknowledged."""
