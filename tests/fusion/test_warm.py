"""Warm-up: after it, no exercise makes the fusion worker wait for the compiler."""

from __future__ import annotations

import json
import subprocess
import sys

_PROBE = """
import json, sys
from numba.core.registry import CPUDispatcher

def compiled():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("fusion", "physics"):
            for value in vars(module).values():
                if isinstance(value, CPUDispatcher):
                    found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = {str(s) for s in value.signatures}
    return found

from fusion.warm import warm_up
warm_up()
warm = compiled()
from bench.simulate import simulate
from bench.world import play_out
from fusion.settings import FusionSettings
from sensors.scenario import load_scenario

cold = {}
for name in ("salvo-2024-05-30", "lost-track"):
    world = play_out(load_scenario(name), 1)
    before = compiled()
    simulate(world, FusionSettings())
    for kernel, signatures in compiled().items():
        late = signatures - before.get(kernel, set())
        if late:
            cold.setdefault(kernel, []).extend(sorted(late))
from fusion.engine import FusionEngine, Inbound
from bus.release import EVERYONE
from tests.rows import frame, reports
before = compiled()
block = reports(3)
block.state[1] = float("nan")
engine = FusionEngine()
engine.step([Inbound(frame(block), EVERYONE)], 1_500_000_000)
assert engine.rejected == {"not_finite": 1}
for kernel, signatures in compiled().items():
    cold.setdefault(kernel, []).extend(sorted(signatures - before.get(kernel, set())))
cold = {kernel: late for kernel, late in cold.items() if late}
print(json.dumps({"warm": sorted(kernel for kernel, signatures in warm.items() if signatures), "cold": cold}))
"""


def test_no_kernel_is_compiled_once_the_worker_is_ready() -> None:
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=280)
    told = json.loads(done.stdout)
    assert {"fusion.estimate.estimate_into", "fusion.offsets.with_open"} <= set(told["warm"])
    assert told["cold"] == {}
