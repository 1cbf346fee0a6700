"""Frameworks train with the loader as with a `DataLoader`: same losses for the same seed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from datasets_impl.doctor import watch
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.loader import PLACES, ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops

EPOCHS, COUNT, BATCH = 2, 40, 8
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
Train = Callable[[Any], list[float]]


def numbers() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(COUNT, 3, generator=generator)
    return TensorDataset(inputs, inputs.sum(1, keepdim=True))


def net() -> torch.nn.Linear:
    torch.manual_seed(2)
    return torch.nn.Linear(3, 1)


def loss_of(model: torch.nn.Module, batch: Any) -> torch.Tensor:
    inputs, wanted = batch
    if inputs.dtype is torch.uint8:  # pictures and their classes
        inputs, wanted = inputs.float().mean((2, 3)) / 255, wanted.float()[:, None]
    return ((model(inputs) - wanted) ** 2).mean()


def plain_loop(loader: Any) -> list[float]:
    model, losses = net(), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(EPOCHS):
        for batch in loader:
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def lightning_trainer(loader: Any, resume: Path | None = None, **given: Any) -> list[float]:
    """Losses of the steps that were taken, from the checkpoint `resume` on where there is one."""
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")
    losses: list[float] = []

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            loss = loss_of(self.net, batch)
            losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    for name in ("lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on workers and on cores of this machine
        given = {"barebones": True} if not given else {**QUIET, **given}
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", devices=1, logger=False, **given
        )
        trainer.fit(Model(), train_dataloaders=loader, ckpt_path=resume)
    return losses


def accelerate_loop(loader: Any) -> list[float]:
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    accelerator = accelerate.Accelerator(cpu=True)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given = loader
    loader, model, optimizer = accelerator.prepare(loader, model, optimizer)
    assert (loader is given) is not isinstance(given, DataLoader), "any other is iterated as it is"
    losses = []
    for _ in range(EPOCHS):
        for batch in loader:
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            accelerator.backward(loss)
            optimizer.step()
            losses.append(loss.item())
    return losses


def with_worker(*args: Any, **kwargs: Any) -> DataLoader[Any]:
    """Its worker asks the sampler for all it has, as threads do. Without workers a loop that stops
    at the last batch, as Lightning's does, leaves the sampler's last draw of a number out."""
    return DataLoader(*args, **kwargs, num_workers=1, multiprocessing_context="fork")


def shuffled(make: Callable[..., Any]) -> Any:
    return make(
        numbers(), batch_size=BATCH, shuffle=True, generator=torch.Generator().manual_seed(3)
    )


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    """Frameworks set how many threads PyTorch has."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def losses() -> list[float]:
    return plain_loop(shuffled(with_worker))


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("train", [plain_loop, lightning_trainer, accelerate_loop])
def test_losses_are_those_with_a_dataloader(train: Train, where: str, losses: list[float]) -> None:
    assert len(losses) == EPOCHS * COUNT // BATCH
    with_dataloader = train(shuffled(with_worker))
    assert len(with_dataloader) == len(losses)
    assert train(shuffled(partial(ThreadedLoader, where=where, threads=2))) == with_dataloader


@pytest.mark.parametrize("train", [plain_loop, lightning_trainer, accelerate_loop])
def test_pictures_and_classes_train_as_with_a_dataloader(train: Train, folder: Path) -> None:
    pairs = [(path, number % 2) for number, path in enumerate(sorted(folder.iterdir()))]
    pictures = CentreCrops(pairs, size=16)
    order: dict[str, Any] = {"batch_size": 4, "sampler": [*range(0, 12, 2), *range(1, 12, 2)]}
    expected = train(with_worker(pictures, **order))
    assert len(expected) == EPOCHS * 3 and len(set(expected)) == len(expected)
    assert train(ThreadedLoader(pictures, **order)) == expected


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("after", [2, 3, 5])
def test_lightning_goes_on_from_its_checkpoint(
    after: int, where: str, folder: Path, tmp_path: Path
) -> None:
    """In mid-epoch or at its end, with the batches, crops and weights that would have come."""
    callbacks = pytest.importorskip("lightning.pytorch.callbacks")
    pairs = [(path, number % 2) for number, path in enumerate(sorted(folder.iterdir()))]

    def made() -> Any:
        crops = RandomCrops(pairs, size=16)
        return ThreadedLoader(crops, 4, shuffle=True, seed=5, where=where)

    expected = lightning_trainer(made())
    assert len(set(expected)) == EPOCHS * 3
    keeping = callbacks.ModelCheckpoint(tmp_path, "kept", every_n_train_steps=after)
    before = lightning_trainer(made(), max_steps=after, callbacks=[keeping])
    after_it = lightning_trainer(made(), tmp_path / "kept.ckpt", enable_checkpointing=False)
    assert before == expected[:after] and after_it == expected[after:]


@pytest.mark.parametrize("train", [plain_loop, lightning_trainer, accelerate_loop])
def test_a_watched_loader_trains_the_same(train: Train, tmp_path: Path) -> None:
    out = tmp_path / "watch.json"
    assert train(watch(shuffled(with_worker), out=out)) == train(shuffled(with_worker))
    assert out.exists()
