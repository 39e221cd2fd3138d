"""Seeded mutations of a corpus that grows by what leads to a new outcome."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fuzz.targets import Target

_SIZE_MAX = 4096
_CORPUS_MAX = 2000
_PIECES = (
    b"\x00", b"\xff", b"\x80\x04", b"\r\n", b"\x1b[", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"{", b"}", b"[" * 64, b'"', b"\\u0000", b"\\ud800",
    b"null", b"-0", b"1e400", b"9" * 40, b"NaN", b"=", b";", b",", b".", b"/", b"~1", b"__proto__", b"true", b" ", b"\xf0\x9f\xa6\x8a",
)  # fmt: skip


@dataclass
class Run:
    """What a run of one target came to."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: list[tuple[bytes, str]] = field(default_factory=list)
    slowest_s: float = 0.0


def fuzz(target: Target, count: int, rng: random.Random) -> Run:
    """Gives the target `count` inputs. A fault is an error that it may not raise; the first twenty are kept with their inputs."""
    run, corpus, outcomes = Run(), list(target.corpus), set[str]()
    began = time.perf_counter()
    while run.inputs < count and len(run.faults) < 20:
        data = corpus[run.inputs] if run.inputs < len(target.corpus) else mutated(corpus, rng)
        started = time.perf_counter()
        try:
            target.read(data)
        except target.refusals as error:
            run.refused += 1
            outcome = f"{type(error).__name__}{str(error)[:60]}"
        except BaseException as error:  # noqa: BLE001 - this is what is looked for
            run.faults.append((data, repr(error)))
            outcome = repr(error)
        else:
            run.accepted += 1
            outcome = f"accepted {len(data) // 32}"
        run.slowest_s = max(run.slowest_s, time.perf_counter() - started)
        run.inputs += 1
        if outcome not in outcomes and len(outcomes) < _CORPUS_MAX:
            outcomes.add(outcome)
            corpus.append(data)
    run.seconds = time.perf_counter() - began
    return run


def mutated(corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the corpus, changed one to eight times."""
    data = bytearray(corpus[int(rng.random() * len(corpus))])
    for _ in range(1 + int(rng.random() ** 3 * 8)):
        at = int(rng.random() * (len(data) + 1))
        kind = int(rng.random() * 7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << int(rng.random() * 8)
        elif kind == 1 and at < len(data):
            data[at] = int(rng.random() * 256)
        elif kind == 2:
            data[at:at] = _PIECES[int(rng.random() * len(_PIECES))]
        elif kind == 3:
            del data[at : at + 1 + int(rng.random() * 8)]
        elif kind == 4:
            data[at:at] = data[at : at + 1 + int(rng.random() * 32)]
        elif kind == 5:
            other = corpus[int(rng.random() * len(corpus))]
            data[at:] = other[int(rng.random() * (len(other) + 1)) :]
        else:
            del data[at:]
    return bytes(data[:_SIZE_MAX])


def memory_mb() -> float:
    """The most that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
