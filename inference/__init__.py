import os

from inference.allocator import keep_freed_memory

# What follows counts only before torch is loaded, and before there is a second thread.

# A thread that waits for its mates between two layers spins so often before it sleeps, some tens of microseconds:
# enough for a layer's imbalance, and little where a mate has lost its core to a decode thread. The default, a hundred
# times as much, costs the stream a tenth of its processor time.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
keep_freed_memory()
