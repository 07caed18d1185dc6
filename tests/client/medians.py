"""medians.py - the difference of two medians, and how sure it is.

Runs in: test programs."""
import random

RESAMPLES = 10000


def median(values):
    ordered, n = sorted(values), len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def resampled(ordered, dice):
    """The median of a resample. Of n places drawn at random the k-th in order is n times a draw from Beta(k, n + 1 - k), and
    the one behind it the least of the n - k that are left: so it is drawn, in place of n of them and sorting."""
    n = len(ordered)
    k = (n + 1) // 2
    low = dice.betavariate(k, n + 1 - k)
    high = low if n % 2 else low + (1 - low) * (1 - dice.random() ** (1 / (n - k)))
    return (ordered[min(int(n * low), n - 1)] + ordered[min(int(n * high), n - 1)]) / 2


def difference(these, those, percent=95):
    """The percentile bootstrap interval of median(these) - median(those), each resampled by itself."""
    dice, these, those = random.Random(1), sorted(these), sorted(those)
    found = sorted(resampled(these, dice) - resampled(those, dice) for _ in range(RESAMPLES))
    tail = int(RESAMPLES * (100 - percent) / 200)
    return found[tail], found[-1 - tail]
