"""Print two days of a service's memory, one sample every two minutes: 25 MB more each hour, a restart in between."""

import random

EVERY_S, DAY = 120, 720
random.seed(1)
print("time,rss_bytes")
for sample in range(2 * DAY):
    hours = sample % DAY * EVERY_S / 3600
    print(f"{1_790_000_000 + sample * EVERY_S},{220e6 + hours * 25e6 + random.gauss(0, 1e6):.0f}")
