"""Every arm of the three tasks, in one table: plain PyTorch, this project's loaders, peers."""

from datasets_impl.contest import own, peers, plain
from datasets_impl.contest.model import Arm, Task

ARMS: dict[tuple[Task, str], Arm] = {
    (arm.task, arm.name): arm for arm in (*plain.ARMS, *own.ARMS, *peers.arms())
}
