"""transformers.generate: one prompt, a group of completions of a fixed length, sampled with a key-value cache.

The prompt is computed once for each completion, as generate does for num_return_sequences.
"""

import torch
from common import arguments, load, prompts, run

args = arguments(__doc__)
model = load(args)
asked = prompts(args)


@torch.no_grad()
def generate(i):
    ids = torch.tensor([asked[i % len(asked)]["tokens"]])
    torch.manual_seed(i)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=args.group,
        min_new_tokens=args.completion_tokens,
        max_new_tokens=args.completion_tokens,
        pad_token_id=0,
    )
    assert out.shape == (args.group, ids.shape[1] + args.completion_tokens), out.shape


tokens = args.group * args.completion_tokens
run(args, generate, figure="sampling", tokens_per_round=tokens)
