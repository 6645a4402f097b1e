"""What the cell is at, for its reports: what waits, how long loads and the store take, what does not end.

Numbers of now and of the last ten seconds, asked of the parts that know when a report is made; but how long
loads took is counted since the cell began, so that whoever hears it may look at any span. A cell knows no
tenant, and names none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from cell.loading.host import Host
from cell.loading.loader import Loader
from cell.scoring.batcher import Batcher
from croupier.latencies import packed
from croupier.recent import Growth
from protos.versions.v1 import versions_pb2 as pb

# A run that is told of: most take a thousandth of it.
_LONG = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """`clock` is monotonic, in seconds."""

    host: Host
    loader: Loader
    batcher: Batcher
    clock: Callable[[], float] = time.monotonic
    _growth: Growth = field(default_factory=Growth)

    def told(self) -> pb.Work:
        """As of now."""
        report, counts = self.host.report(), self.host.counts()
        totals = (report.requests, report.requests - report.hits, *counts)
        seconds, grown = self._growth.look(self.clock(), totals)
        requests, misses, evictions, loaded, failed, turned_away = grown
        took, reading = self.loader.lately()
        first_bucket, buckets = packed(self.loader.times.counts)
        return pb.Work(
            seconds=seconds,
            requests=requests,
            misses=misses,
            evictions=evictions,
            loaded=loaded,
            failed=failed,
            turned_away=turned_away,
            load_seconds=took.mean,
            slowest_load_seconds=took.slowest,
            loading=report.loading,
            oldest_load_seconds=self.host.longest_wait(),
            waiting_rows=self.batcher.told()["waiting_rows"],
            store=pb.StoreReads(**asdict(reading)),
            run=self._run(),
            first_load_bucket=first_bucket,
            load_buckets=buckets,
        )

    def _run(self) -> pb.LongRun | None:
        """The run that takes longest; or what was stopped lately, since it did not end."""
        run = self.batcher.longest_run()
        artifact, stopped = self.batcher.stopped()
        if run is not None and run[1] >= _LONG:
            return pb.LongRun(artifact=run[0], seconds=run[1], stopped=stopped)
        return pb.LongRun(artifact=artifact, stopped=stopped) if stopped else None
