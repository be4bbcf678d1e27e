"""PyTorch: gradient of the clipped surrogate over a group's completions, each row with its own copy of the prompt.

Logits are computed at completion positions only, log-probabilities by the fused cross entropy, attention by PyTorch's
own kernel; rows are taken `rows-per-pass` at a time and their gradients added up.
"""

import torch
from common import arguments, load, prompts, run, with_lora
from torch.nn.functional import cross_entropy

args = arguments(
    __doc__,
    full={"action": "store_true", "help": "gradients of every parameter, not of an adapter"},
    rows_per_pass={"type": int, "default": 4},
)
model = load(args)
if not args.full:
    model = with_lora(model, args.rank)
causal = model if args.full else model.get_base_model()
parameters = [p for p in model.parameters() if p.requires_grad]
asked = prompts(args)
EPSILON = 0.2
generator = torch.Generator().manual_seed(1)
completions = torch.randint(100, causal.config.vocab_size, (args.group, args.completion_tokens), generator=generator)
advantages = torch.linspace(-1.5, 1.5, args.group)[:, None]
# Near what an untrained model gives, so that ratios are of every size.
old = -torch.log(torch.tensor(float(causal.config.vocab_size))) + 0.2 * torch.randn(completions.shape, generator=generator)


def gradient(i):
    for parameter in parameters:
        parameter.grad = None
    prompt = torch.tensor(asked[i % len(asked)]["tokens"]).expand(args.group, -1)
    rows = torch.cat([prompt, completions], 1)
    for at in range(0, args.group, args.rows_per_pass):
        part = slice(at, at + args.rows_per_pass)
        ids, targets = rows[part], completions[part]
        # The last token is predicted, never read.
        logits = causal(ids[:, :-1], use_cache=False, logits_to_keep=args.completion_tokens).logits
        logp = -cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        ratio = torch.exp(logp - old[part])
        gain = torch.minimum(ratio * advantages[part], ratio.clamp(1 - EPSILON, 1 + EPSILON) * advantages[part])
        (-gain.sum() / completions.numel()).backward()
    assert all(p.grad is not None for p in parameters)


run(args, gradient, figure="gradient", trained="full" if args.full else "lora", samples_per_round=args.group)
