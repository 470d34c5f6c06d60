"""Trains the shipped model on generated stories; resumes from its own checkpoint.

    python training/train.py assets/fable-7m --state STATE --until 4000 --cooldown 1000

The learning rate warms up, stays, and falls to zero over the last `--cooldown` steps before
`--until`; a run that has not cooled down can be continued with other values of both. SIGTERM saves
and ends the run; SIGSTOP and SIGCONT pause it.
"""

import argparse
import os
import signal
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from muon import Muon
from network import Network
from quiz import quiz
from tokenizers import Tokenizer

from quantcore.corpus import stories

CONTEXT, BATCH = 512, 8  # 4,096 tokens a step
LONG_EVERY = 4  # of so many steps, one sees whole contexts, the others halves: attention is dear
STORIES_PER_SHARD = 20_000
BY_MUON = tuple(f"{name}_proj.weight" for name in ("v", "o", "gate", "up", "down"))
LOOKUP_DECAY = 0.3  # of queries and keys; without it attention saturates and learns nothing new
NOTE_EVERY, SAVE_EVERY = 20, 100  # steps
BEGIN = 0


def shard(
    tokenizer: Tokenizer, number: int, drill: float, quizzes: float
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the shard's stories, one line each, and where each story starts."""
    rng = Random(number)
    n_quizzes = int(quizzes * STORIES_PER_SHARD)
    lines = stories(f"training {number}", STORIES_PER_SHARD - n_quizzes, drill)
    lines = [line + "\n" for line in lines + [quiz(rng) for _ in range(n_quizzes)]]
    rng.shuffle(lines)
    encoded = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
    ids = [np.array(line.ids, dtype=np.int64) for line in encoded]
    starts = np.cumsum([0] + [len(line) for line in ids[:-1]])
    return np.concatenate(ids), starts


def repeated(rng: np.random.Generator, window: np.ndarray) -> np.ndarray:
    """Fill a window with its own beginning again and again: an exercise in copying."""
    n_tokens = rng.integers(16, len(window) // 2)
    return np.resize(window[:n_tokens], len(window))


def batches(tokenizer: Tokenizer, number: int, drill: float, repeat: float, quizzes: float):
    """(tokens, targets) of a shard. Half of the windows begin with a story, half where it falls.

    A window's first token is replaced by the begin token, as llama-perplexity does. In a share
    `repeat` of the windows a piece of text is repeated.
    """
    ids, starts = shard(tokenizer, number, drill, quizzes)
    rng = np.random.default_rng(number)
    n_windows = (len(ids) - 1) // CONTEXT - 1
    first = np.arange(n_windows) * CONTEXT + rng.integers(CONTEXT)
    aligned = starts[np.minimum(np.searchsorted(starts, first), len(starts) - 1)] - 1
    aligned = np.clip(aligned, 0, len(ids) - CONTEXT - 1)
    first = np.where(rng.random(n_windows) < 0.5, aligned, first)
    rng.shuffle(first)
    first = first[: n_windows // BATCH * BATCH].reshape(-1, BATCH)
    for number_of_batch, batch in enumerate(first):
        context = CONTEXT if number_of_batch % LONG_EVERY == 0 else CONTEXT // 2
        cuts = [start + at for start in batch for at in range(0, CONTEXT, context)]
        windows = [ids[cut : cut + context + 1] for cut in cuts]
        windows = [repeated(rng, w) if rng.random() < repeat else w for w in windows]
        tokens = torch.from_numpy(np.stack(windows))
        targets = tokens[:, 1:].contiguous()
        tokens = tokens[:, :-1].contiguous()
        tokens[:, 0] = BEGIN
        yield tokens, targets


def rate(step: int, until: int, cooldown: int, warmup: int = 60) -> float:
    """Share of the full learning rate at a step: up, level, down to zero at `until`."""
    return min(1.0, (step + 1) / warmup, max(0.0, (until - step) / cooldown))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="model folder with the tokenizer")
    parser.add_argument("--state", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--until", type=int, required=True, help="stop after this step")
    parser.add_argument("--cooldown", type=int, default=1000, help="steps of falling rate")
    parser.add_argument("--rate", type=float, default=0.005, help="Muon's learning rate")
    parser.add_argument("--adam-rate", type=float, default=0.002, help="AdamW's: q, k, norms")
    parser.add_argument("--embedding-rate", type=float, default=0.01, help="AdamW's: embedding")
    parser.add_argument("--drill", type=float, default=0.0, help="share of drill stories")
    parser.add_argument("--repeat", type=float, default=0.0, help="share of repeated windows")
    parser.add_argument("--quiz", type=float, default=0.0, help="share of quizzes")
    parser.add_argument("--soften", type=float, default=1.0, help="shrink queries and keys once")
    parser.add_argument("--fresh", action="store_true", help="forget the optimizers' momenta")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


class Trainer:
    """Network, optimizers and the place in the text, kept together in one checkpoint."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
        self.network = Network()
        named = list(self.network.named_parameters())
        matrices = [p for name, p in named if name.endswith(BY_MUON)]
        embedding = [self.network.embed_tokens.weight]
        lookups = [p for name, p in named if name.endswith(("q_proj.weight", "k_proj.weight"))]
        norms = [p for name, p in named if name.endswith("norm.weight")]
        adam = {"betas": (0.9, 0.97)}
        rates = arguments.adam_rate, arguments.adam_rate, arguments.embedding_rate
        self.rates = [arguments.rate, *rates]
        self.optimizers = [
            Muon(matrices, lr=arguments.rate),
            torch.optim.AdamW(lookups, lr=arguments.adam_rate, weight_decay=LOOKUP_DECAY, **adam),
            torch.optim.AdamW(norms, lr=arguments.adam_rate, weight_decay=0, **adam),
            torch.optim.AdamW(embedding, lr=arguments.embedding_rate, weight_decay=0, **adam),
        ]
        self.place = {"step": 0, "shard": 0, "batch": 0, "seconds": 0.0}
        self.checkpoint = arguments.state / "checkpoint.pt"
        self.log = arguments.state / "training_log.csv"
        arguments.state.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.resume()
        self.soften(arguments.soften)
        self.loss = torch.compile(self.network.loss, dynamic=False)
        self.losses: list[float] = []
        self.stopping = False

    @torch.no_grad()
    def soften(self, factor: float) -> None:
        """Shrink queries and keys: attention that is one-hot has no gradient to change its mind."""
        for name, weight in self.network.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                weight.mul_(factor)

    def resume(self) -> None:
        """Go back to the checkpoint; later rows of the log are dropped."""
        saved = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(saved["network"])
        if not self.arguments.fresh:
            for optimizer, values in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(values)
        self.place = saved["state"]
        first, *rows = self.log.read_text().splitlines()
        rows = [row for row in rows if int(row.split(",")[0]) <= self.place["step"]]
        self.log.write_text("\n".join([first, *rows]) + "\n")

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        values = {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "state": self.place,
        }
        new = self.checkpoint.with_suffix(".new")
        torch.save(values, new)
        os.replace(new, self.checkpoint)

    def step(self, tokens, targets) -> float:
        """Take one step on a batch; returns its loss in nats."""
        factor = rate(self.place["step"], self.arguments.until, self.arguments.cooldown)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.loss(tokens, targets)
        loss.backward()
        for optimizer, full in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def note(self) -> None:
        """Add a row to the log: the mean loss since the last one."""
        new = not self.log.exists()
        step = self.place["step"]
        factor = rate(step, self.arguments.until, self.arguments.cooldown)
        mean = sum(self.losses) / len(self.losses)
        with self.log.open("a") as log:
            if new:
                log.write("step,tokens,loss_nats,rate,seconds\n")
            seconds = round(self.place["seconds"])
            log.write(f"{step},{step * BATCH * CONTEXT},{mean:.4f},{factor:.3f},{seconds}\n")
        self.losses.clear()

    def run_shard(self) -> None:
        """Train on what is left of the current shard."""
        last = time.monotonic()
        shares = self.arguments.drill, self.arguments.repeat, self.arguments.quiz
        text = batches(self.tokenizer, self.place["shard"], *shares)
        for number, batch in enumerate(text):
            if number < self.place["batch"]:
                continue
            if self.place["step"] >= self.arguments.until or self.stopping:
                return
            self.losses.append(self.step(*batch))
            now = time.monotonic()
            self.place["seconds"] += min(now - last, 30.0)  # a pause is no training time
            last = now
            self.place["step"] += 1
            self.place["batch"] = number + 1
            if self.place["step"] % NOTE_EVERY == 0:
                self.note()
            if self.place["step"] % SAVE_EVERY == 0:
                self.save()
        self.place["shard"] += 1
        self.place["batch"] = 0


def main() -> None:
    """Run the command; on SIGTERM it saves and ends."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    trainer = Trainer(arguments)

    def stop(*_):
        trainer.stopping = True

    signal.signal(signal.SIGTERM, stop)
    while trainer.place["step"] < arguments.until and not trainer.stopping:
        trainer.run_shard()
    trainer.save()


if __name__ == "__main__":
    main()
