"""torch.optim.AdamW with its default settings, over the shapes that adamw.mjs sends; answers each line "step" with milliseconds."""

import json
import sys
import time

import torch

shapes, threads = json.loads(sys.stdin.readline()).values()
torch.set_num_threads(threads)
torch.manual_seed(0)
parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
for parameter in parameters:
    parameter.grad = torch.randn_like(parameter) * 0.01
optimizer = torch.optim.AdamW(parameters)

print(json.dumps({"torch": torch.__version__}), flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    optimizer.step()
    step = 1000 * (time.perf_counter() - begin)
    begin = time.perf_counter()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    print(json.dumps({"step_ms": step, "clip_ms": 1000 * (time.perf_counter() - begin)}), flush=True)
