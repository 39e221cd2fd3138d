"""The command line: `sessile serve`, `demo`, `sessions`, `config`, `db`, `bench`, `version`."""
