"""Weights & Biases."""

import io
import os
from collections.abc import Mapping

from PIL import Image

from hdc_jax.runs.trackers.base import Tracked, Tracker
from hdc_jax.runtime import buckets

PROJECT = "hdc_jax"


class WeightsAndBiases(Tracker):
  """Shows a run in Weights & Biases, online or, with WANDB_MODE, offline.

  Its environment variables set everything else: WANDB_API_KEY, WANDB_PROJECT,
  WANDB_ENTITY. The files of the client are in RUN/wandb; if the run is in a
  bucket, in the directory that WANDB_DIR names.
  """

  package = "wandb"

  def __init__(self, run: Tracked) -> None:
    """Starts the run, or goes on with the run of the same id."""
    import wandb

    self._wandb = wandb
    local = not buckets.is_remote(run.workdir)
    # It then asks the terminal for no key: a training does not wait for one.
    wandb.setup(wandb.Settings(silent=True))
    self._run = wandb.init(
      project=os.environ.get("WANDB_PROJECT", PROJECT),
      name=run.name,
      id=run.run_id or None,
      resume="allow",
      # Not the run of an earlier trial, should that not have ended.
      reinit="create_new",
      dir=os.fspath(run.workdir) if local else None,
      config=dict(run.config),
      settings=wandb.Settings(
        console="off", silent=True, disable_code=True, disable_git=True
      ),
    )
    if self._run.disabled:
      raise RuntimeError(
        "it is not logged in, or disabled: run `wandb login`, or set "
        "WANDB_API_KEY or WANDB_MODE=offline"
      )
    # With steps of its own, Weights & Biases would drop what a resumed run
    # repeats, and so all until it is beyond where it was interrupted.
    self._run.define_metric("*", step_metric="step")
    self.run_id = self._run.id
    if self._run.offline:
      self.place = f"wandb sync {os.path.dirname(self._run.dir)}"
    else:
      self.place = self._run.url or ""

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Logs the values."""
    self._run.log({"step": step} | dict(values))

  def picture(self, step: int, title: str, png: bytes) -> None:
    """Logs a picture."""
    with Image.open(io.BytesIO(png)) as image:
      self._run.log({"step": step, title: self._wandb.Image(image)})

  def page(self, step: int, html: str) -> None:
    """Logs the page."""
    page = self._wandb.Html(html, inject=False)
    self._run.log({"step": step, "report": page})

  def close(self) -> None:
    """Waits until all is sent, or written where it is offline."""
    self._run.finish()
