"""Several servers that belong together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from sessile.testing.servers.process import ServerProcess


class ServerSet(ABC):
    """Started and closed as one; as a context manager, too. What is not closed ends with the Python process that started it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Starts all of them; returns when they know each other. Raises TimeoutError."""

    @abstractmethod
    def processes(self) -> Sequence[ServerProcess]:
        """All of them, those that are dead, too."""

    def close(self) -> None:
        """Ends all of them and removes what they kept."""
        # By force: nobody is to promote anybody while the set goes down, and the data goes as well.
        for process in self.processes():
            if process.is_running:
                process.kill()
        for process in self.processes():
            process.close()
