"""The commands and their options."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from quantcore.cli import files, measuring, sensitivity
from quantcore.cli.errors import error
from quantcore.cli.export import export
from quantcore.cli.memory import memory
from quantcore.cli.method import method
from quantcore.cli.output import complain, print_json
from quantcore.cli.trial import trial
from quantcore.sweep import Patience

BY = ("measured", "weight_error", "weighted_error", "output_error", "fisher", "random")
Command = Callable[[str, Callable, str], argparse.ArgumentParser]  # (name, what it runs, what for)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(complain(message[:1].upper() + message[1:] + ".", 2))


def make_parser() -> argparse.ArgumentParser:
    """Make the parser; what it returns carries the function to call in `run`."""
    parser = _Parser(prog="python -m quantcore", description="Measure what quantization does.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, run: Callable, says: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=says, description=says)
        added.set_defaults(run=run)
        return added

    _add_measuring(command)
    _add_files(command)
    _add_imatrix(command)
    _add_sensitivity(command)
    _add_memory(command)
    _add_method(command)
    _add_export(command)
    _add_trial(command)
    says = "Measure again what the pages show of a shipped model."
    run = command("measure", measuring.measure, says)
    _add_model(run, "the name of a shipped model (default: the first)")
    what = "only mixes chosen in every way, by sensitivity.json, on the evaluation text"
    run.add_argument("--mixes", action="store_true", help=what)
    what = "only types of the KV cache, by context length, and the noise floor"
    run.add_argument("--caches", action="store_true", help=what)
    what = "only methods such as GPTQ, on each matrix in several types"
    run.add_argument("--methods", action="store_true", help=what)
    what = "only answers to the shipped prompts"
    run.add_argument("--trial", action="store_true", help=what)
    what = "only methods on the whole model, on the evaluation text"
    run.add_argument("--recipes", action="store_true", help=what)
    command("compile", _compile, "Compile the kernels ahead.")
    says = "What this machine has and lacks for the lab; of a FILE, what it is and who runs it."
    run = command("doctor", _doctor, says)
    run.add_argument("file", nargs="?", metavar="FILE", help="a GGUF or safetensors file, a folder")
    _add_json(run)
    return parser


def _add_measuring(command: Command) -> None:
    run = command(
        "perplexity", measuring.perplexity, "Perplexity and divergence from the original."
    )
    _add_model_and_type(run)
    _add_text(run)
    _add_special(run)
    what = "Q8: rounded as llama.cpp does on a CPU, with its F16 cache (default: F32)"
    run.add_argument("--activations", choices=["F32", "Q8"], default="F32", help=what)
    _add_cache(run)
    what = "types of some tensors, as llama-quantize reads them; the rest as --type says"
    run.add_argument("--tensor-type-file", type=Path, metavar="FILE", help=what)
    _add_recipe(run)
    _add_by(run)
    run = command("error", error, "Error of each tensor in a mix or a format.")
    _add_model_and_type(run, required=True)
    _add_by(run)
    run = command("skills", measuring.skills, "Right answers by skill, of a shipped model.")
    _add_model_and_type(run)
    _add_by(run)


def _add_cache(run: argparse.ArgumentParser) -> None:
    what = "what keys are kept in: f16, q8_0, q4_0, turbo4, ... (f32; f16 with --activations Q8)"
    run.add_argument("--cache-type-k", metavar="T", help=what)
    run.add_argument("--cache-type-v", metavar="T", help="what values are kept in")
    what = "without the rotation that llama.cpp puts before a quantized cache"
    run.add_argument("--no-cache-rotation", action="store_true", help=what)


def _add_files(command: Command) -> None:
    run = command("plan", files.plan, "Each tensor's type in a file, and why.")
    _add_mix(run, "folder, config.json")
    _add_budget(run)
    run.add_argument("--with-imatrix", action="store_true", help="as if there were one")
    _add_json(run)
    run = command("quantize", files.quantize, "Write a GGUF file for llama.cpp.")
    _add_mix(run, "a folder")
    _add_output(run)
    _add_matrix(run, "importance matrix: GGUF, or the older .dat")
    _add_by(run)


def _add_imatrix(command: Command) -> None:
    says = "Measure the importance matrix: mean squared inputs."
    run = command("imatrix", measuring.imatrix, says)
    _add_model(run, "a folder, a GGUF file, or hf://owner/name (default: shipped)")
    _add_text(run)
    _add_special(run)
    run.add_argument("--process-output", action="store_true", help="the output matrix too")
    _add_output(run)
    _add_json(run)


def _add_sensitivity(command: Command) -> None:
    says = "What each tensor costs in each format, alone; a stopped run continues."
    run = command("sensitivity", sensitivity.sensitivity, says)
    _add_model(run, "a folder, a GGUF file, or hf://owner/name (default: shipped)")
    run.add_argument("--types", metavar="T,T", help="formats (default: Q2_K to Q8_0, eight)")
    _add_text(run)
    run.add_argument("--tokens", type=int, metavar="N", help="of the text's beginning (4096)")
    choices = {
        "--groups": (["tensor", "layer", "role", "all"], ["tensor", "all"], "what is changed"),
        "--hows": (["alone", "kept"], ["alone"], "quantized alone, or kept as the only one"),
    }
    for option, (known, usual, what) in choices.items():
        run.add_argument(option, nargs="+", choices=known, default=usual, help=what)
    _add_matrix(run, "importance matrix (default: the model's own, for formats that need one)")
    what = "also ask this many questions per skill and level, as the command skills does (0)"
    run.add_argument("--skills", type=int, default=0, metavar="N", help=what)
    _add_by(run)
    what = "cheaper guides too: errors of weights and outputs, Fisher"
    run.add_argument("--guides", action="store_true", help=what)
    what = "Dask scheduler, whose workers find the model at the same path or on the Hub"
    run.add_argument("--scheduler", metavar="ADDRESS", help=what)
    patience = Patience()
    seconds: dict[str, Any] = {"type": float, "metavar": "S"}
    what = f"end where the cluster has had no worker for this long ({patience.workers_s:g} s)"
    run.add_argument("--wait-for-workers", **seconds, default=patience.workers_s, help=what)
    what = f"give up a piece that the cluster has not done after this long ({patience.piece_s:g} s)"
    run.add_argument("--wait-for-piece", **seconds, default=patience.piece_s, help=what)
    run.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    _add_json(run)


def _add_memory(command: Command) -> None:
    run = command("memory", memory, "What a model takes: weights, KV cache, buffers; does it fit?")
    _add_model(run, "preset, config.json, folder, GGUF, or owner/name on the Hub")
    whole: dict[str, Any] = {"type": int, "metavar": "N"}
    what = "Q4_K_M, 'Q4_K pure', GPTQ, NF4, ... (default: as in a GGUF file, else Q4_K_M)"
    run.add_argument("--type", help=what)
    run.add_argument("--context", **whole, default=4096, help="tokens (4096)")
    run.add_argument("--sequences", **whole, default=1, help="at once (1)")
    run.add_argument("--shared-prefix", **whole, default=0, help="tokens kept once for all")
    run.add_argument("--cache-type", default="f16", metavar="T", help="f16, q8_0, q4_0, ... (f16)")
    run.add_argument("--cache-type-k", metavar="T", help="of the keys only")
    run.add_argument("--cache-type-v", metavar="T", help="of the values only")
    what = "none: the model itself (default)"
    run.add_argument("--runtime", default="none", metavar="none|llama.cpp|vllm", help=what)
    run.add_argument("--batch", **whole, default=2048, help="llama.cpp's -b (2048)")
    run.add_argument("--ubatch", **whole, default=512, help="llama.cpp's -ub (512)")
    run.add_argument("--flash-attention", choices=["on", "off"], default="on")
    what = "vLLM's share of each GPU (0.9)"
    run.add_argument("--gpu-memory-utilization", type=float, default=0.9, metavar="S", help=what)
    what = "memory of each GPU: 24GiB, 16 GB"
    run.add_argument("--gpu-memory", nargs="+", default=[], metavar="SIZE", help=what)
    run.add_argument("--system-memory", metavar="SIZE", help="beside the GPUs, or alone")
    _add_json(run)


def _add_method(command: Command) -> None:
    says = "Methods that look at activations, side by side on one matrix."
    run = command("method", method, says)
    _add_model(run, "a folder, a GGUF file, or hf://owner/name (default: shipped)")
    run.add_argument("--tensor", required=True, metavar="NAME", help="blk.3.ffn_down.weight, ...")
    run.add_argument("--type", required=True, help="Q4_K, INT4_G128, IQ2_XS, NF4, ...")
    run.add_argument("--by", required=True, metavar="M,M", help="methods: rtn,gptq,awq,hqq, ...")
    _add_calibration(run)
    _add_calibration_context(run)
    what = "weights, second moment of the inputs, and what each method restores"
    run.add_argument("--save", type=Path, metavar="FILE.npz", help=what)
    _add_json(run)


def _add_trial(command: Command) -> None:
    says = "The original and quantized versions answer prompts; which are as good, and how sure."
    run = command("try", trial, says)
    _add_model(run, "a model folder, a GGUF file or hf://owner/name (default: the shipped one)")
    run.add_argument("--types", required=True, metavar="T,T", help="such as Q8_0,Q4_K_M")
    what = "JSON lines or CSV with prompt, expected, pattern; or a prompt a line"
    run.add_argument("--prompts", type=Path, metavar="FILE", help=f"{what} (default: shipped)")
    run.add_argument("--by", metavar="METHOD", help="what chooses codes: gptq, awq, ... (rtn)")
    run.add_argument("--calibration", type=Path, metavar="FILE", help="the text that METHOD sees")
    run.add_argument("--tokens", type=int, default=40, metavar="N", help="of an answer (40)")
    what = "put prompts into the model's chat template"
    run.add_argument("--chat", action="store_true", help=what)
    what = "0 (default): always the most probable token"
    run.add_argument("--temperature", type=float, default=0.0, metavar="T", help=what)
    run.add_argument("--seed", type=int, default=0, metavar="N", help="of draws (0)")
    what = "points by which a version may be worse and still count as good (2)"
    run.add_argument("--margin", type=float, default=2.0, metavar="POINTS", help=what)
    run.add_argument("--csv", type=Path, metavar="FILE", help="write every answer as CSV")
    run.add_argument("--html", type=Path, metavar="FILE", help="write a report of one page")
    _add_json(run)


def _add_export(command: Command) -> None:
    says = "Write a checkpoint of packed integers, for transformers, vLLM, GPTQModel or AutoAWQ."
    run = command("export", export, says)
    _add_model(run, "a folder, or hf://owner/name (default: shipped)")
    layouts = ["gptq", "awq", "compressed-tensors"]
    run.add_argument("--as", dest="layout", choices=layouts, required=True, help="whose layout")
    run.add_argument("--type", required=True, help="INT4_G128, INT4_G128_ASYM, INT8_ROW, ...")
    what = "method that chooses codes: rtn (default), gptq, gptaq, qronos, awq, autoround"
    run.add_argument("--by", default="rtn", metavar="METHOD", help=what)
    _add_calibration(run)
    _add_calibration_context(run)
    run.add_argument("--output", type=Path, required=True, metavar="FOLDER")


def _add_calibration_context(run: argparse.ArgumentParser) -> None:
    what = "tokens a chunk (default: the most of 512, 256, 128 and 64 that fill four chunks)"
    run.add_argument("--context", type=int, metavar="N", help=what)


def _add_by(run: argparse.ArgumentParser) -> None:
    what = "how codes are chosen: gptq, awq, ... on every matrix (default: rounded to nearest)"
    run.add_argument("--by", metavar="M", help=what)
    _add_calibration(run)


def _add_calibration(run: argparse.ArgumentParser) -> None:
    what = "UTF-8 text that tells what inputs are like (default: shipped)"
    run.add_argument("--calibration", type=Path, metavar="FILE", help=what)


def _add_model(run: argparse.ArgumentParser, where: str) -> None:
    run.add_argument("model", nargs="?", metavar="MODEL", help=where)


def _add_model_and_type(run: argparse.ArgumentParser, *, required: bool = False) -> None:
    _add_model(run, "a folder, a GGUF file, or hf://owner/name (default: shipped)")
    what = "Q4_K_M, Q4_0, ... as llama-quantize mixes them; INT4_G128, ... throughout"
    what += "" if required else " (default: F32, the original)"
    run.add_argument("--type", required=required, default=None if required else "F32", help=what)
    run.add_argument("--pure", action="store_true", help="one format on every matrix")
    what = "importance matrix for every tensor (default: the model's own, where a type needs one)"
    _add_matrix(run, what)
    _add_json(run)


def _add_budget(run: argparse.ArgumentParser) -> None:
    what = "instead of --type: 4.5bpw, 3.9MB, Q4_K_M (its size), kl:0.002 (nats per token)"
    run.add_argument("--budget", metavar="B", help=what)
    what = "what the tensors cost, by the command sensitivity (default: shipped)"
    run.add_argument("--sensitivity", type=Path, metavar="FILE.json", help=what)
    what = "formats to choose from, as those that a runtime can read (default: all in it)"
    run.add_argument("--types", metavar="T,T", help=what)
    run.add_argument("--keep-output", metavar="T", help="the output at least in this type")
    run.add_argument("--by-layer", action="store_true", help="one type for all of a layer")
    what = "what is to be small: the measured divergence (default), a cheaper guide, or chance"
    run.add_argument("--by", choices=BY, default=BY[0], help=what)
    run.add_argument("--seed", type=int, default=0, metavar="N", help="of --by random (0)")
    what = "refine by swapping types: at most N measurements of the mix as a whole"
    run.add_argument("--swaps", type=int, metavar="N", help=what)
    what = "the text that FILE.json was measured on, for --swaps (default: shipped)"
    run.add_argument("--text", type=Path, metavar="FILE", help=what)


def _add_mix(run: argparse.ArgumentParser, where: str) -> None:
    _add_model(run, where)
    run.add_argument("--type", help="Q4_K_M, IQ4_XS, 'Q4_K pure', ...")
    _add_recipe(run)
    run.add_argument("--pure", action="store_true", help="one type for every matrix")
    run.add_argument("--output-tensor-type", metavar="T", help="type of the output")
    run.add_argument("--token-embedding-type", metavar="T", help="type of the embedding")
    what = "type of all tensors in whose name the pattern is found"
    run.add_argument("--tensor-type", action="append", default=[], metavar="PATTERN=T", help=what)
    run.add_argument("--tensor-type-file", type=Path, metavar="FILE", help="a list of such")


def _add_recipe(run: argparse.ArgumentParser) -> None:
    what = "instead of --type: every tensor's type, as plan --json prints them"
    run.add_argument("--recipe", type=Path, metavar="FILE.json", help=what)


def _add_matrix(run: argparse.ArgumentParser, what: str) -> None:
    run.add_argument("--imatrix", type=Path, metavar="FILE", help=what)


def _add_special(run: argparse.ArgumentParser) -> None:
    what = "control tokens that the text writes out count as such, not as characters"
    run.add_argument("--parse-special", action="store_true", help=what)


def _add_text(run: argparse.ArgumentParser) -> None:
    run.add_argument("--text", type=Path, metavar="FILE", help="UTF-8 text (default: shipped)")
    run.add_argument("--context", type=int, default=512, metavar="N", help="tokens a chunk (512)")


def _add_output(run: argparse.ArgumentParser) -> None:
    run.add_argument("--output", type=Path, required=True, metavar="FILE.gguf")


def _add_json(run: argparse.ArgumentParser) -> None:
    run.add_argument("--json", action="store_true", help="print one JSON object")


def _compile(options: argparse.Namespace) -> None:
    from quantcore.warm import compile_all

    for what, seconds in compile_all():
        print(f"{what:<16}{seconds:6.1f} s", flush=True)


def _doctor(options: argparse.Namespace) -> int:
    from quantcore import diagnosis, doctor

    if options.file is not None:
        findings = list(diagnosis.diagnose(options.file))
        if options.json:
            print_json({"file": options.file, "findings": [asdict(each) for each in findings]})
        else:
            doctor.show(findings)
        return 0
    return doctor.main(as_json=options.json)
