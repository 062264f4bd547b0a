import os
import signal
import threading

import pytest

from experiments.stop_signals import workers_stop_too
from rig.safety.interrupt import STOP_SIGNALS, Interrupt


def test_sigterm_counts_as_ctrl_c_while_a_study_runs_and_not_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), workers_stop_too():
        assert signal.getsignal(signal.SIGTERM) is not before
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(30.0)  # the signal ends it
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_only_the_first_signal_unwinds_the_study(number):
    with workers_stop_too():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        for other in STOP_SIGNALS:
            os.kill(os.getpid(), other)


def test_a_signal_that_a_controller_took_is_the_first_one():
    interrupt = Interrupt()
    with workers_stop_too():
        interrupt.install()
        os.kill(os.getpid(), signal.SIGHUP)
        interrupt.restore()
        os.kill(os.getpid(), signal.SIGHUP)  # the shell sends one as well, while the record is sealed


def test_a_terminal_that_is_lost_after_the_study_does_not_keep_it_from_being_analysed():
    with workers_stop_too() as signals:
        signals.study_is_over()
        os.kill(os.getpid(), signal.SIGHUP)


def test_ctrl_c_ends_the_report_of_a_study_that_was_not_stopped():
    with workers_stop_too() as signals:
        signals.study_is_over()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def body():
        with workers_stop_too():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
