"""trace=True: traced bytes per iteration and the lines that grew over the run."""

from __future__ import annotations

import tracemalloc

from pytest_memleak.explain import TraceRecorder


def test_samples_grow_and_the_line_is_found() -> None:
    kept = []
    recorder = TraceRecorder(root=".")
    recorder.start()
    samples = []
    for _ in range(50):
        kept.append(bytes(2_000))  # the leak
        samples.append(recorder.sample())
    findings = recorder.finish()
    assert samples[-1] - samples[0] > 49 * 2_000
    assert findings[0].kind == "allocation"
    assert findings[0].path == __file__
    assert "keeps 2.0 kB in 1 allocation per iteration of the whole run, " in findings[0].summary
    assert not tracemalloc.is_tracing()


def test_what_was_allocated_once_is_no_growth() -> None:
    recorder = TraceRecorder(root=".")
    recorder.start()
    kept = bytes(100)
    for _ in range(2_000):
        recorder.sample()
    assert recorder.finish() == ()
    del kept


def test_does_not_stop_what_it_did_not_start() -> None:
    tracemalloc.start(2)
    try:
        recorder = TraceRecorder(root=".")
        recorder.start()
        recorder.sample()
        recorder.finish()
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 2
    finally:
        tracemalloc.stop()


def test_stop_may_be_called_twice_and_without_start() -> None:
    recorder = TraceRecorder(root=".")
    recorder.stop()
    recorder.start()
    recorder.stop()
    recorder.stop()
    assert not tracemalloc.is_tracing()
    assert recorder.sample() == 0
    assert recorder.finish() == ()


def test_what_was_there_at_the_mark_does_not_count() -> None:
    kept = []
    recorder = TraceRecorder(root=".")
    recorder.start()
    kept.append(bytes(1_000_000))  # warm-up
    recorder.mark()
    recorder.sample()
    assert not [finding for finding in recorder.finish() if "MB" in finding.summary]
