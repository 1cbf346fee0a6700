"""Every arm of the four tasks, in one table: plain PyTorch, this project's loaders, peers."""

from datasets_impl.contest import own, peers, plain, remote
from datasets_impl.contest.model import Arm, Task

ARMS: dict[tuple[Task, str], Arm] = {
    (arm.task, arm.name): arm for arm in (*plain.ARMS, *own.ARMS, *remote.ARMS, *peers.arms())
}
