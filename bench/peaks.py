"""Peak memory of a process and of its workers (Linux).

``ru_maxrss`` is no use here: that of a child begins with the memory that its parent
had when it was forked. The kernel's VmHWM does not.
"""

import multiprocessing
import threading
import time
from pathlib import Path

GIB = 2.0**20  # kB, which /proc counts in


def own_peak():
    """Return the peak memory of this process, GiB."""
    return _peak("self") / GIB


class WorkerPeak:
    """Watches the processes that this one starts; ``gib`` is the largest so far."""

    def __init__(self):
        self.gib = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            for child in multiprocessing.active_children():
                self.gib = max(self.gib, _peak(child.pid) / GIB)
            time.sleep(0.1)


def _peak(process):
    """Return VmHWM of a process in kB, 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        return 0
