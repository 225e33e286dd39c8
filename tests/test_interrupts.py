"""Ctrl-C waits for what must not be stopped, and comes then."""

import signal
import threading

import pytest

from fastcannon.interrupts import deaf_to_interrupts, interrupts_later


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("context", [interrupts_later, deaf_to_interrupts])
def test_an_interrupt_comes_when_the_work_is_done(context):
    before, done, now = signal.getsignal(signal.SIGINT), False, threading.Event()

    def hear():  # a thread that was there before, as those of libraries are
        now.wait()
        signal.raise_signal(signal.SIGINT)

    hearer = threading.Thread(target=hear)
    hearer.start()
    with pytest.raises(KeyboardInterrupt):
        with context():
            now.set()
            hearer.join()
            done = True
    assert done and signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interrupt_comes_also_when_the_work_fails():
    with pytest.raises(KeyboardInterrupt) as caught:
        with interrupts_later():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("the work")
    assert isinstance(caught.value.__context__, ValueError)


def test_signals_are_left_alone_outside_of_the_main_thread():
    found = []

    def work():
        with interrupts_later():
            found.append(signal.getsignal(signal.SIGTERM))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
