"""What the peers share: arguments, prompts, the pace of rounds and the report."""

import argparse
import json
import os
import random
import resource
import statistics
import sys
import time

# Before PyTorch is imported: its threads are counted once.
THREADS = int(os.environ.get("POLYMODE_BENCH_THREADS", "2"))
os.environ["OMP_NUM_THREADS"] = str(THREADS)
os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")

import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(THREADS)
transformers.utils.logging.disable_progress_bar()

# Rounds report on the real standard output; what libraries print goes to standard error.
REPORT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def arguments(description, **extra):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--prompts", help="JSON list of {messages, tokens}; made up when missing")
    parser.add_argument("--group", type=int, default=16, help="completions a prompt")
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--completion-tokens", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16, help="of LoRA on all linear layers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paced", action="store_true", help="each round waits for a line on standard input")
    for name, settings in extra.items():
        parser.add_argument("--" + name.replace("_", "-"), **settings)
    return parser.parse_args()


def report(value):
    print(json.dumps(value), file=REPORT, flush=True)


def load(args):
    return transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()


def with_lora(model, rank):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, lora_config(LoraConfig, rank))


def lora_config(kind, rank):
    return kind(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def prompts(args, needs_messages=False):
    """Conversations and their tokens, `prompt_tokens` long."""
    if args.prompts:
        with open(args.prompts) as file:
            return json.load(file)
    draw = random.Random(1)
    if not needs_messages:
        vocabulary = transformers.AutoConfig.from_pretrained(args.model).vocab_size
        return [{"tokens": [draw.randrange(100, vocabulary) for _ in range(args.prompt_tokens)]} for _ in range(8)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    return [conversation(tokenizer, draw, args.prompt_tokens) for _ in range(8)]


def conversation(tokenizer, draw, length):
    """Letters are appended until the rendered conversation has `length` tokens."""
    text = ""
    while True:
        messages = [{"role": "user", "content": text}]
        tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        if len(tokens) == length:
            return {"messages": messages, "tokens": tokens}
        if len(tokens) > length:
            text = text[: len(text) // 2]
        # A letter with its blank is one token, or one for each byte.
        text += ("" if length - len(tokens) == 1 else " ") + draw.choice("bcdfghjklmnpqrstvwxz")


def paced(args):
    """One index a round: `rounds` of them, or with --paced one for each line until the input ends."""
    report({"ready": True})
    if not args.paced:
        yield from range(args.rounds)
        return
    for i, _ in enumerate(sys.stdin):
        yield i


def run(args, measure, **facts):
    """Warms up once, then reports every round's figures, and last of all their medians."""
    measure(0)
    made = []
    for i in paced(args):
        started = time.perf_counter()
        figures = measure(i + 1) or {}
        made.append({"seconds": time.perf_counter() - started} | figures)
        report(made[-1])
    finish(made, **facts)


def finish(made, **facts):
    """The last line."""
    medians = {key: statistics.median(m[key] for m in made) for key in (made[0] if made else {})}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report(facts | medians | {"rounds": len(made), "peak_rss_bytes": peak, "threads": THREADS})
