"""What batches are made of, on their way from workers to the trainer."""

from __future__ import annotations

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import LEAST_SHARE, MECHANISM, Finding, Probes
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.user_lines import leading_to, loader_places

LEAST_ARRAYS, LEAST_VALUES = 1 << 20, 10_000  # bytes and values of a batch that are pickled
AS_TENSORS = """\
return torch.from_numpy(np.stack(arrays))  # in collate_fn: a tensor crosses in shared memory"""


def pickled_batches(seen: Probes) -> Finding | None:
    """Tensors cross in shared memory; all else is pickled, sent through a pipe and made again."""
    machine, settings = seen.get("machine", {}), seen.get("settings", {})
    arrays, values = machine.get("batch_arrays", 0), machine.get("batch_values", 0)
    hand_over, total = account(seen).hand_over or 0.0, account(seen).total
    if not settings.get("num_workers") or hand_over < LEAST_SHARE * (hand_over + total):
        return None
    if arrays < LEAST_ARRAYS and values < LEAST_VALUES:
        return None
    large = arrays >= LEAST_ARRAYS
    what = f"NumPy arrays of {decimal(arrays)}" if large else f"{values:,} Python values"
    return Finding(
        "pickled-batches",
        "Batches are pickled on their way from workers",
        f"A batch is {what}, pickled in the worker and made again in the trainer: "
        f"{1e6 * hand_over:,.0f} us a sample, which takes {1e6 * total:,.0f} us to make.",
        "Make tensors of them in the collate function.",
        MECHANISM + 0.83,
        "X06",
        AS_TENSORS,
        leading_to(seen, "collating") or loader_places(seen),
    )
