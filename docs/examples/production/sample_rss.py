"""Write the resident memory of a running process as CSV: python sample_rss.py PID SECONDS > rss.csv"""

import sys
import time

import psutil

process, interval_s = psutil.Process(int(sys.argv[1])), float(sys.argv[2])
print("time,rss_bytes", flush=True)
while process.is_running():
    print(f"{time.time():.0f},{process.memory_info().rss}", flush=True)
    time.sleep(interval_s)
