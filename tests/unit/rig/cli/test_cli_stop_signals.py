import os
import signal
import threading

import pytest

from rig.cli.stop_signals import workers_stop_too


def test_sigterm_counts_as_ctrl_c_while_a_study_runs_and_not_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), workers_stop_too():
        assert signal.getsignal(signal.SIGTERM) is not before
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(30.0)  # the signal ends it
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def body():
        with workers_stop_too():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
