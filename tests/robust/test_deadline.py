"""An iteration that hangs is ended at its deadline, and the test says where it hung."""

from __future__ import annotations

import textwrap


def test_what_hangs_is_ended(project, faulty, requesting, verdicts):
    limit = "iteration_timeout='0.5s'"
    faulty(
        requesting("wait", limit),
        requesting("block", limit),
        requesting("spin", limit + ", simulate_time=False"),
        textwrap.dedent(
            f"""
            @pytest.mark.memleak({limit})
            def test_without_loop(memleak):
                if memleak.iteration == 5:
                    app.block()

            @pytest.mark.memleak(iteration_timeout='2s')  # ten looks: in the first iteration there was none yet
            def test_keeps_the_lock_of_the_interpreter(memleak):
                if memleak.iteration == 0:
                    re.match("(a+)+$", "a" * 40 + "b")

            @pytest.mark.memleak({limit})
            async def test_callback(memleak):
                if memleak.iteration == 5:
                    asyncio.get_running_loop().call_soon(app.block)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

            @pytest.mark.memleak({limit})
            async def test_child_task(memleak):
                async def child():
                    await asyncio.Event().wait()

                if memleak.iteration == 5:
                    await asyncio.create_task(child())

            @pytest.mark.memleak({limit})
            async def test_cancellation_swallowed(memleak):
                for _ in range(3 if memleak.iteration == 5 else 0):
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        pass
            """
        ),
    )

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(failed=8, passed=8)
    took = "took longer than iteration_timeout 0.5 s of real time and"
    later = took.replace("0.5", "2")
    lines = project.path.joinpath("app.py").read_text(encoding="utf-8").splitlines()
    tests = project.path.joinpath("test_faulty.py").read_text(encoding="utf-8").splitlines()
    lock, act = lines.index("    lock.acquire()") + 2, lines.index("            await asyncio.Event().wait()") + 1
    match = next(n for n, line in enumerate(tests, 1) if line.startswith("        re.match"))
    child = next(n for n, line in enumerate(tests, 1) if line.startswith("        await asyncio.Event"))
    swallowed = next(n for n, line in enumerate(tests, 1) if line.startswith("            await asyncio.Event"))
    found = {name: reason.partition("  *")[0] for name, reason in verdicts().items()}
    spinning = found.pop("test_spin")
    assert spinning.startswith(f"ERROR: iteration 9 {took} is blocked at app.py:")
    assert spinning.endswith(" in spin")
    assert found == {
        "test_wait": f"ERROR: iteration 9 {took} waits at app.py:{act} in act",
        "test_block": f"ERROR: iteration 9 {took} is blocked at app.py:{lock} in block",
        "test_without_loop": f"ERROR: iteration 5 {took} is blocked at app.py:{lock} in block",
        "test_keeps_the_lock_of_the_interpreter": f"ERROR: iteration 0 {later} is blocked at test_faulty.py:{match} "
        "in test_keeps_the_lock_of_the_interpreter",
        "test_callback": f"ERROR: iteration 5 {took} is blocked at app.py:{lock} in block",
        "test_child_task": f"ERROR: iteration 5 {took} waits at test_faulty.py:{child} in "
        "test_child_task.<locals>.child",
        "test_cancellation_swallowed": f"ERROR: iteration 5 {took} waits at test_faulty.py:{swallowed} in "
        "test_cancellation_swallowed",
    }
    result.stdout.fnmatch_lines(["*/app.py:* in app", f"*/app.py:{act} in act", "*/asyncio/locks.py:* in Event.wait"])


def test_signals_that_the_app_takes(project, faulty, verdicts):
    """The app keeps its handlers, and the deadline sends it nothing that would end the process."""
    faulty(
        textwrap.dedent(
            """
            TAKEN = (signal.SIGRTMAX, signal.SIGVTALRM)

            def own(*arguments):
                pass

            @pytest.mark.memleak
            def test_with_handlers_of_its_own(memleak):
                if memleak.iteration == 5:
                    for number in TAKEN:
                        signal.signal(number, own)

            def test_has_them_still():
                assert [signal.getsignal(number) for number in TAKEN] == [own, own]
                for number in TAKEN:
                    signal.signal(number, signal.SIG_DFL)

            @pytest.mark.memleak(iteration_timeout='0.2s')
            def test_without_any(memleak):
                if memleak.iteration == 5:
                    for number in TAKEN:
                        signal.signal(number, signal.SIG_DFL)
                    os.system("sleep 1")

            @pytest.mark.memleak(iteration_timeout='0.2s')
            def test_that_works_without_any(memleak):
                if memleak.iteration == 5:
                    for number in TAKEN:
                        signal.signal(number, signal.SIG_DFL)
                    until = time.thread_time() + 1
                    while time.thread_time() < until:
                        sum(range(1000))
            """
        )
    )

    result = project.runpytest_subprocess("--memcheck", "-s")

    result.assert_outcomes(passed=4, failed=2)
    assert result.stderr.str().count("memleak: this thread is blocked:") == 2  # once for each
    found = verdicts()
    assert found.pop("test_with_handlers_of_its_own").startswith("PASSED")
    for name, said in found.items():
        assert said.startswith("ERROR: iteration 5 took longer than iteration_timeout 0.2 s of real time"), name
