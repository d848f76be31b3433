"""Types that threads read at once."""

from __future__ import annotations

import subprocess
import sys

import msgspec
from tests.support.pricing import a_product

PROCESSES, THREADS = 8, 8
READ = f"""
import sys, threading
import msgspec
from holdgate_schema.values.products import PRODUCT

sys.setswitchinterval(1e-6)
document = sys.stdin.read()
values = msgspec.json.Decoder().decode(document)
together = threading.Barrier({THREADS})
read = {{"decode": lambda: PRODUCT.decode(document), "convert": lambda: PRODUCT.convert(values)}}[sys.argv[1]]

def work():
    together.wait()
    read()

threads = [threading.Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_reads_of_a_process_may_come_from_many_threads() -> None:
    """Laid out on the way, most of these processes die."""
    document = msgspec.json.encode(a_product(product_id="show"))
    for how in ("decode", "convert") * (PROCESSES // 2):
        ended = subprocess.run([sys.executable, "-c", READ, how], input=document, capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
