"""Trains the shipped model on generated stories; resumes from its own checkpoint.

    python training/train.py assets/fable-7m --state STATE --until 4000 --cooldown 1000

The learning rate warms up, stays, and falls to zero over the last `--cooldown` steps before
`--until`; a run that has not cooled down can be continued with other values of both.
"""

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np
import torch
from muon import Muon
from network import Network
from tokenizers import Tokenizer

from quantcore.corpus import stories

CONTEXT, BATCH = 512, 8  # 4,096 tokens a step
LONG_EVERY = 4  # of so many steps, one sees whole contexts, the others halves: attention is dear
STORIES_PER_SHARD = 40_000
BEGIN = 0


def shard(tokenizer: Tokenizer, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the shard's stories, one line each, and where each story starts."""
    lines = [story + "\n" for story in stories(f"training {number}", STORIES_PER_SHARD)]
    encoded = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
    ids = [np.array(line.ids, dtype=np.int64) for line in encoded]
    starts = np.cumsum([0] + [len(line) for line in ids[:-1]])
    return np.concatenate(ids), starts


def batches(tokenizer: Tokenizer, number: int):
    """(tokens, targets) of a shard. Half of the windows begin with a story, half where it falls.

    A window's first token is replaced by the begin token, as llama-perplexity does.
    """
    ids, starts = shard(tokenizer, number)
    rng = np.random.default_rng(number)
    n_windows = (len(ids) - 1) // CONTEXT - 1
    first = np.arange(n_windows) * CONTEXT + rng.integers(CONTEXT)
    aligned = starts[np.minimum(np.searchsorted(starts, first), len(starts) - 1)] - 1
    aligned = np.clip(aligned, 0, len(ids) - CONTEXT - 1)
    first = np.where(rng.random(n_windows) < 0.5, aligned, first)
    rng.shuffle(first)
    first = first[: n_windows // BATCH * BATCH].reshape(-1, BATCH)
    for number_of_batch, batch in enumerate(first):
        windows = np.stack([ids[start : start + CONTEXT + 1] for start in batch])
        context = CONTEXT if number_of_batch % LONG_EVERY == 0 else CONTEXT // 2
        tokens = windows[:, :-1].reshape(-1, context).copy()
        tokens[:, 0] = BEGIN
        yield torch.from_numpy(tokens), torch.from_numpy(windows[:, 1:].reshape(-1, context).copy())


def rate(step: int, until: int, cooldown: int, warmup: int = 60) -> float:
    return min(1.0, (step + 1) / warmup, max(0.0, (until - step) / cooldown))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="model folder with the tokenizer")
    parser.add_argument("--state", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--until", type=int, required=True, help="stop after this step")
    parser.add_argument("--cooldown", type=int, default=1000, help="steps of falling rate")
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's learning rate")
    parser.add_argument("--adam-rate", type=float, default=0.004, help="embedding's and norms'")
    parser.add_argument("--decay", type=float, default=0.0, help="Muon's weight decay")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    network = Network()
    matrices = [p for n, p in network.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in network.named_parameters() if p.dim() == 1 or "embed" in n]
    optimizers = [
        Muon(matrices, lr=arguments.rate, weight_decay=arguments.decay),
        torch.optim.AdamW(others, lr=arguments.adam_rate, betas=(0.9, 0.97), weight_decay=0.0),
    ]
    rates = [arguments.rate, arguments.adam_rate]
    arguments.state.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.state / "checkpoint.pt"
    state = {"step": 0, "shard": 0, "batch": 0, "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        state = saved["state"]

    def save() -> None:
        values = {
            "network": network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "state": state,
        }
        torch.save(values, checkpoint.with_suffix(".new"))
        os.replace(checkpoint.with_suffix(".new"), checkpoint)

    loss_of = torch.compile(network.loss, dynamic=False)
    log = open(arguments.state / "training_log.csv", "a", newline="")
    rows = csv.writer(log)
    if log.tell() == 0:
        rows.writerow(["step", "tokens", "loss_nats", "rate", "seconds"])
    last = time.monotonic()
    losses: list[float] = []
    while state["step"] < arguments.until:
        for number, (tokens, targets) in enumerate(batches(tokenizer, state["shard"])):
            if number < state["batch"]:
                continue
            factor = rate(state["step"], arguments.until, arguments.cooldown)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(tokens, targets)
            loss.backward()
            for optimizer, full in zip(optimizers, rates, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = full * factor
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            state["step"] += 1
            state["batch"] = number + 1
            now = time.monotonic()
            state["seconds"] += min(now - last, 30.0)  # a pause is no training time
            last = now
            losses.append(loss.item())
            if state["step"] % 20 == 0:
                n_tokens = state["step"] * BATCH * CONTEXT
                mean = sum(losses) / len(losses)
                row = [state["step"], n_tokens, f"{mean:.4f}", f"{factor:.3f}"]
                rows.writerow(row + [round(state["seconds"])])
                log.flush()
                losses.clear()
            if state["step"] % 200 == 0 or state["step"] == arguments.until:
                save()
            if state["step"] == arguments.until:
                return
        state["shard"] += 1
        state["batch"] = 0


if __name__ == "__main__":
    main()
