"""Every arm of the three tasks, in one table: plain PyTorch, this project's loaders, peers."""

from datasets_impl import peers
from datasets_impl.arms import fastest, plain
from datasets_impl.arms.model import Arm, Task

ARMS: dict[tuple[Task, str], Arm] = {
    (arm.task, arm.name): arm for arm in (*plain.ARMS, *fastest.ARMS, *peers.arms())
}
