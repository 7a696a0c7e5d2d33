"""The card of an encoder: README.md of its folder, made of the run's files."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from hdc_jax.evaluate.pretrained import Pretrained
from hdc_jax.options import identity
from hdc_jax.runs import results

# Entries of result.json that are no figures.
_NO_FIGURES = ("task", "config_fingerprint", "data_fingerprint", "device")
# Fields that name places on the machine of the run; of these, the last name
# alone is public.
_PLACES = ("data.path", "data.cache", "checkpoint")

_USE = """\
```python
import torch
from transformers import AutoModel

model = AutoModel.from_pretrained(FOLDER, trust_remote_code=True).eval()
clips = torch.zeros(1, {frames}, 3, {size}, {size})  # RGB in [-1, 1]
with torch.no_grad():
  features = model(clips).pooler_output  # float32 [1, {width}]
```
"""


def describe(
  loaded: Pretrained,
  clips: Mapping[str, Any],
  endpoints: Mapping[str, Sequence[int]],
  result: Mapping[str, Any],
) -> str:
  """Writes the card of an encoder.

  Args:
    loaded: The encoder.
    clips: What it says of its clips, see `exported.describe_clips`.
    endpoints: Shape of each endpoint of one clip, see `Encoder.endpoints`.
    result: Content of the run's result.json; empty if there is none.

  Returns:
    Markdown, with the header that the Hub of Hugging Face reads.
  """
  config = {
    name: posixpath.basename(str(value).rstrip("/"))
    if name in _PLACES
    else value
    for name, value in identity.flatten(loaded.config).items()
    if name != "data.cache"
  }
  name, task = config["model.name"], config.get("task", "pretrain")
  method = config.get("method.name", "")
  values = identity.flatten(dict(result))
  figures = {
    key: value
    for key, value in values.items()
    if isinstance(value, int | float | str)
    and key not in _NO_FIGURES
    and not key.startswith("versions.")
  }
  pace = (
    f"{clips['fps']:g} frames per second"
    if clips["fps"]
    else f"a stride of {clips['stride']}"
  )
  facts = {
    "task": task,
    "method": method,
    "step": loaded.step,
    "data": config.get("data.path", ""),
    "split": config.get("data.split", ""),
    "fingerprint of the data": result.get("data_fingerprint", ""),
    "fingerprint of the config": result.get("config_fingerprint", ""),
    "device": result.get("device", ""),
  }
  versions = result.get("versions") or results.versions()
  sections = {
    "Use": _USE.format(
      frames=clips["frames"],
      size=clips["size"],
      width=endpoints["block5"][-1],
    ),
    "Clips": f"{clips['frames']} frames, {pace}, {clips['size']}×"
    f"{clips['size']} pixels, RGB in [-1, 1]. The features are the mean of "
    "block5. `hidden_states` has the endpoints, of these frames, rows, columns "
    "and channels:\n\n"
    + _table({k: "×".join(map(str, v)) for k, v in endpoints.items()}),
    "Training": _table({k: v for k, v in facts.items() if v != ""}),
    "Figures": _table(figures) if figures else "The run has no result.json.\n",
    "Recipe": _table(config),
    "Versions": _table(versions),
  }
  tags = ["video", "hdc_jax", name, *filter(None, [method])]
  lines = ["---", "library_name: transformers", f"tags: {json.dumps(tags)}"]
  trained = f", {task} by {method}" if method else f", {task}"
  lines += ["---", "", f"# {name}{trained}", ""]
  for title, text in sections.items():
    lines += [f"## {title}", "", text]
  return "\n".join(lines)


def _table(values: Mapping[str, Any]) -> str:
  """A table of two columns."""
  rows = [
    f"| {name} | {str(value).replace('|', chr(92) + '|')} |"
    for name, value in values.items()
  ]
  return "\n".join(["| | |", "|---|---|", *rows, ""])
