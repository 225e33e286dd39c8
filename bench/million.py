"""A million stars packed from small files: memory and rate; python -m bench.million.

Links to simulated apStar files stand for the stars. The images of finished parts are
given back to the disk (holes) while the run goes on, as a million packed spectra are
70 GB. Takes half an hour; needs some 20 GB of disk.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fastcannon.fitsheaders import scan
from fastcannon.simulator import simulate

from .results import at_most, only, table
from .surveys import make_links

FILES = 20_000
SIZES = (20_000, 200_000, 1_000_000)
MIB = 2.0**20

PACK = """
import sys, time
from pathlib import Path
from bench.peaks import WorkerPeak, own_peak
from fastcannon.pack import pack
if __name__ == "__main__":
    workers = WorkerPeak()
    links = Path(sys.argv[1]).read_text().split()
    start = time.perf_counter()
    made = pack("apogee", links, sys.argv[2], processes=2)
    seconds = time.perf_counter() - start
    # links to one file are spectra of one id
    assert all(refused.path == "ids" for refused in made.refused)
    assert made.n_spectra == len(links)
    print(own_peak(), workers.gib, seconds)
"""


def main():
    """Pack ever more stars; print the memory of each run and its slope."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.million", description=__doc__
    )
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "surveys", options.files, overlap=options.files)
        files = sorted((folder / "surveys" / "apogee" / "spectra").rglob("*.fits"))
        rows, found = [], []
        for size in options.sizes:
            own, workers, seconds = pack_links(files, size, folder / f"run{size}")
            found.append((size, own))
            rows += [
                only(f"{size:,} stars: memory of the parent", own, "MiB"),
                at_most(f"{size:,} stars: memory of a worker", workers, 300, "MiB"),
                only(f"{size:,} stars: time per star", seconds / size * 1e3, "ms"),
            ]
            print(table(rows[-3:]), flush=True)
    (first, low), (last, high) = found[0], found[-1]
    slope = (high - low) * MIB / max(last - first, 1)
    rows.append(at_most("memory of the parent per star", slope, 1500, "bytes"))
    print(table(rows[-1:]))
    return 0 if all(row.met for row in rows) else 1


def pack_links(files, count, folder):
    """Pack so many links; MiB of parent and largest worker, seconds."""
    links = make_links(files, folder / "links", count)
    (folder / "list.txt").write_text("\n".join(map(str, links)))
    stop = threading.Event()
    holes = threading.Thread(target=give_back, args=(folder / "packed", stop))
    holes.start()
    try:
        command = [sys.executable, "-c", PACK, folder / "list.txt", folder / "packed"]
        done = subprocess.run(
            list(map(str, command)), check=True, capture_output=True, text=True
        )
    finally:
        stop.set()
        holes.join()
    own, workers, seconds = map(float, done.stdout.split())
    return own * 1024, workers * 1024, seconds


def give_back(folder, stop):
    """Turn the images of finished parts into holes until told to stop."""
    done = set()
    while not stop.is_set():
        for path in set(folder.glob("part-*.fits")) - done:
            for span in scan(path)[1:3]:
                place = ["-o", str(span.data), "-l", str(span.end - span.data)]
                subprocess.run(["fallocate", "-p", *place, str(path)], check=True)
            done.add(path)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
