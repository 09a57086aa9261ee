"""One list per tenant, three hundred of them: none grows in every iteration.

holder: tenants.TENANTS[...].rows
"""

import itertools


class Tenant:
    def __init__(self):
        self.rows = []


TENANTS = {f"tenant-{number}": Tenant() for number in range(300)}
numbers = itertools.count()


def work():
    TENANTS[f"tenant-{next(numbers) % 300}"].rows.append(bytes(400))  # LEAK
