"""US Standard Atmosphere 1976 to 84.852 km geopotential altitude, then an exponential tail. Kernels; no wind, no weather.

Source: U.S. Standard Atmosphere, 1976 (NOAA-S/T 76-1562), equations 23, 33a, 33b, 42, 50. The tail above 86 km geometric keeps
the last temperature and a scale height of 6 km: drag there is below a millionth of gravity, so only its smallness matters.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from physics.compile import jit
from physics.constants import AIR_GAMMA, AIR_GAS_J_KG_K, GEOPOTENTIAL_RADIUS_M, STANDARD_GRAVITY_M_S2

_BASE_M: Final = np.array([0.0, 11e3, 20e3, 32e3, 47e3, 51e3, 71e3, 84.852e3])
_LAPSE_K_M: Final = np.array([-6.5e-3, 0.0, 1e-3, 2.8e-3, 0.0, -2.8e-3, -2e-3])
_T0_K: Final = 288.15
_P0_PA: Final = 101_325.0
_TAIL_SCALE_M: Final = 6_000.0
_TOP_M: Final = 250e3


def _bases() -> tuple[np.ndarray, np.ndarray]:
    """Temperature and pressure at the base of each layer, by the layers below it."""
    temperature, pressure = [_T0_K], [_P0_PA]
    for i, lapse in enumerate(_LAPSE_K_M):
        step = _BASE_M[i + 1] - _BASE_M[i]
        above = temperature[-1] + lapse * step
        if lapse == 0.0:
            ratio = math.exp(-STANDARD_GRAVITY_M_S2 * step / (AIR_GAS_J_KG_K * temperature[-1]))
        else:
            ratio = (above / temperature[-1]) ** (-STANDARD_GRAVITY_M_S2 / (AIR_GAS_J_KG_K * lapse))
        temperature.append(above)
        pressure.append(pressure[-1] * ratio)
    return np.array(temperature), np.array(pressure)


_BASE_K, _BASE_PA = _bases()


@jit
def air(alt_m: float) -> tuple[float, float]:
    """Density kg/m3 and speed of sound m/s at a geometric altitude in m. Below the sea: as at its level; above 250 km: none."""
    if alt_m > _TOP_M:
        return 0.0, math.sqrt(AIR_GAMMA * AIR_GAS_J_KG_K * _BASE_K[-1])
    h_m = max(alt_m, 0.0) * GEOPOTENTIAL_RADIUS_M / (GEOPOTENTIAL_RADIUS_M + max(alt_m, 0.0))
    if h_m >= _BASE_M[-1]:
        temperature = _BASE_K[-1]
        pressure = _BASE_PA[-1] * math.exp(-(h_m - _BASE_M[-1]) / _TAIL_SCALE_M)
    else:
        layer = 0
        while h_m >= _BASE_M[layer + 1]:
            layer += 1
        lapse = _LAPSE_K_M[layer]
        temperature = _BASE_K[layer] + lapse * (h_m - _BASE_M[layer])
        if lapse == 0.0:
            pressure = _BASE_PA[layer] * math.exp(
                -STANDARD_GRAVITY_M_S2 * (h_m - _BASE_M[layer]) / (AIR_GAS_J_KG_K * _BASE_K[layer])
            )
        else:
            power = -STANDARD_GRAVITY_M_S2 / (AIR_GAS_J_KG_K * lapse)
            pressure = _BASE_PA[layer] * (temperature / _BASE_K[layer]) ** power
    return pressure / (AIR_GAS_J_KG_K * temperature), math.sqrt(AIR_GAMMA * AIR_GAS_J_KG_K * temperature)
