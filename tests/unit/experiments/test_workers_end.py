"""Worker processes end with the process that started them, however that one ended."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]
PARENT = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
from experiments import workers

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    news, halt = context.Queue(), context.Event()
    pool = ProcessPoolExecutor(2, mp_context=context, initializer=workers._begin, initargs=(news, halt))
    started = [pool.submit(time.sleep, 0.1) for _ in range(4)]
    for each in started:
        each.result()
    for _ in range(2):
        pool.submit(time.sleep, 600)
    print("up", flush=True)
    time.sleep(600)
"""


def test_a_parent_that_is_killed_leaves_no_process_behind(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "up\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=20)
    try:
        assert alive == []
    finally:
        for process in alive:
            process.kill()
