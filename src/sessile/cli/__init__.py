"""The command line: `sessile serve`, `demo`, `sessions`, `config`, `version`."""
