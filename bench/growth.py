"""How cost grows with size."""

import math

from bench.outcome import Check


def slope(sizes, seconds):
    """The exponent of the power law that fits best: 0 is constant, 1 is linear."""
    xs, ys = [math.log(size) for size in sizes], [math.log(max(second, 1e-6)) for second in seconds]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / sum((x - mean_x) ** 2 for x in xs)


def check_growth(outcome, what, sizes, runs, floor, goal):
    """Compares the slope of CPU time, which other work on the machine does not bend."""
    shown = ", ".join(f"{size:,}: {run.cpu_seconds:.3f} s" for size, run in zip(sizes, runs))
    value = slope(sizes, [run.cpu_seconds for run in runs])
    outcome.checks.append(Check(f"{what}: slope of CPU time on size", value, floor, goal, unit="", beside=shown))
