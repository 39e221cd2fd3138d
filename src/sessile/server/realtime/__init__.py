"""The socket: frames, connections, fan-out, presence. The wire is described in protocol/README.md."""
