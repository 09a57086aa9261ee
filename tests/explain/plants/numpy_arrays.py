"""Arrays kept in a dict.

holder: numpy_arrays.RESULTS
"""

import numpy

RESULTS = {}


def work():
    RESULTS[len(RESULTS)] = numpy.ones(2000)  # LEAK
