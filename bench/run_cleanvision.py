"""CleanVision over a folder, in the environment that has it: writes the seconds that finding issues took.

Run as `python bench/run_cleanvision.py FOLDER JOBS`; imports nothing of ours.
"""

import sys
import time

from cleanvision import Imagelab  # type: ignore[import-not-found]


def main() -> None:
    folder, jobs = sys.argv[1:]
    lab = Imagelab(data_path=folder)
    start = time.perf_counter()
    lab.find_issues(n_jobs=int(jobs), verbose=False)
    seconds = time.perf_counter() - start
    sys.stdout.write(f"\nseconds {seconds}\n")


if __name__ == "__main__":
    main()
