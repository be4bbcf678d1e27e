"""Loads what real-model.mjs wrote in the libraries it is for, and compares logits: `check_exports.py FOLDER BASE_FOLDER`.

    pip install -r ../peers/requirements.txt

BASE_FOLDER is the base model as a Hugging Face folder, which PEFT puts the adapter on. The last line is JSON.
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, base = Path(sys.argv[1]), sys.argv[2]
expected = json.loads((folder / "logits.json").read_text())
ids = torch.tensor([expected["tokens"]])
ours = torch.tensor(expected["logits"]).view(ids.shape[1], -1)


@torch.no_grad()
def difference(model):
    return (model.eval()(input_ids=ids).logits[0].float() - ours).abs().max().item()


load = lambda path: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)  # noqa: E731
figures = {
    "merged in transformers": difference(load(folder / "merged")),
    "adapter in peft": difference(PeftModel.from_pretrained(load(base), folder / "adapter")),
    "without the adapter": difference(load(base)),
}
tokenizer = AutoTokenizer.from_pretrained(folder / "merged")
figures["vocabulary"] = len(tokenizer)
for name, value in figures.items():
    print(f"{name}: {value:.3g}")
assert figures["merged in transformers"] < 1e-3 and figures["adapter in peft"] < 1e-3, "logits differ by 1e-3 or more"
print(json.dumps(figures))
