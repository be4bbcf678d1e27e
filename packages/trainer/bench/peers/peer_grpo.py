"""TRL's GRPOTrainer with LoRA: one prompt a step, a group of completions of a fixed length, one update.

TRL's own settings but for these: float32 instead of bfloat16, the shapes, a minimum length (so that every step is the
same work), and no gradient checkpointing unless asked for, as it costs time and memory is not short. Completions are
drawn all at once; `rows-per-pass` of them make one forward and backward pass.
"""

import tempfile
import time

import torch
from common import arguments, finish, load, lora_config, paced, prompts, report
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

args = arguments(
    __doc__,
    rows_per_pass={"type": int, "default": 4},
    checkpointing={"action": "store_true", "help": "recompute activations, TRL's default"},
)
asked = prompts(args, needs_messages=True)
passes = args.group // args.rows_per_pass
MOST_STEPS = 1000


def reward(completions, **_):
    """Not constant, and cheap: it must not be what is measured."""
    return [len(c[0]["content"]) % 7 / 7 for c in completions]


config = GRPOConfig(
    output_dir=tempfile.mkdtemp(),
    use_cpu=True,
    bf16=False,
    per_device_train_batch_size=args.rows_per_pass,
    gradient_accumulation_steps=passes,
    num_generations=args.group,
    max_completion_length=args.completion_tokens,
    generation_kwargs={"min_new_tokens": args.completion_tokens},
    gradient_checkpointing=args.checkpointing,
    max_steps=MOST_STEPS,
    learning_rate=1e-5,
    lr_scheduler_type="constant",
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    dataloader_pin_memory=False,
)
trainer = GRPOTrainer(
    model=load(args),
    reward_funcs=reward,
    args=config,
    train_dataset=Dataset.from_list([{"prompt": p["messages"]} for p in asked]),
    processing_class=AutoTokenizer.from_pretrained(args.model),
    peft_config=lora_config(LoraConfig, args.rank),
)
spent = {}


def timed(phase, method):
    inner = getattr(trainer, method)

    def wrapper(*given, **named):
        started = time.perf_counter()
        try:
            return inner(*given, **named)
        finally:
            spent[phase] = spent.get(phase, 0.0) + time.perf_counter() - started

    setattr(trainer, method, wrapper)


timed("sampling_seconds", "_generate_single_turn")
timed("rollout_seconds", "_generate_and_score_completions")


class Rounds(TrainerCallback):
    """The first step warms up; each later one is a round. At the end of the rounds training stops."""

    def __init__(self):
        self.made = []
        self.rounds = None

    def on_step_begin(self, arguments, state, control, **_):
        if state.global_step == 1:
            self.rounds = paced(args)
        if self.rounds is not None and next(self.rounds, None) is None:
            self.stop(control)
        spent.clear()
        self.started = time.perf_counter()

    def stop(self, control):
        finish(self.made, figure="grpo_step", samples_per_round=args.group, rows_per_pass=args.rows_per_pass,
               checkpointing=args.checkpointing, completion_tokens=args.completion_tokens)  # fmt: skip
        raise SystemExit

    def on_step_end(self, arguments, state, control, **_):
        if self.rounds is None:
            return
        seconds = time.perf_counter() - self.started
        self.made.append({"seconds": seconds} | spent)
        report(self.made[-1])

    def on_log(self, arguments, state, control, logs=None, **_):
        for name in ("completions/mean_length", "completions/min_length"):
            length = (logs or {}).get(name)
            assert length is None or length == args.completion_tokens, f"{name} is {length}"


trainer.add_callback(Rounds())
torch.manual_seed(1)
trainer.train()
