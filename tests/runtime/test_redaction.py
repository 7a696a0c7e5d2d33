"""Secrets are refused where others can read them, and hidden in messages."""

import argparse
import logging

import pytest

from hdc_jax.errors import BUG, ConfigError
from hdc_jax.runtime import commands, redaction
from tests import small

SECRET = "s3cret-value"
URL = f"s3://me:{SECRET}@host/videos"
NAMES = (
  *("PRIVATE_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DB_PASSWD"),
  *("DB_PWD", "PASSWORD", "PGPASSWORD", "MY_PASSPHRASE", "CREDENTIAL", "TOKEN"),
  *("GOOGLE_APPLICATION_CREDENTIALS", "WANDB_API_KEY", "apiKey", "GITHUB_PAT"),
  "X-Amz-Security-Token",
)
OTHERS = (
  *("PATH", "PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "XLA_FLAGS", "KEYBOARD"),
  *("AUTHOR", "MONKEY", "PASSES", "HDC_COORDINATOR", "SSH_KEY_PATH"),
  *("AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION"),
)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets(name):
  assert redaction.is_secret(name)
  assert redaction.redact(f"--env={name}={SECRET} b") == f"--env={name}=… b"
  with pytest.raises(ConfigError, match=f"--env={name}=….* as in {name}_FILE"):
    redaction.refuse("--env", SECRET, name)


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_others(name):
  assert not redaction.is_secret(name)
  assert redaction.redact(f"{name}=value") == f"{name}=value"
  redaction.refuse("--env", "value", name)


@pytest.mark.parametrize(
  "value",
  [
    URL,
    "http://:s3cret-value@host",
    "AKIA" + 16 * "A",
    "ghp_" + 36 * "a",
    "hf_" + 34 * "a",
    "-----BEGIN RSA PRIVATE KEY-----\nabc",
  ],
)
def test_values_that_are_secret_by_themselves(value):
  with pytest.raises(ConfigError, match="others can read") as error:
    redaction.refuse("--env", value, "ANYTHING")
  for text in (str(error.value), redaction.redact(f"at {value}!")):
    assert value not in text
    assert SECRET not in text


@pytest.mark.parametrize(
  "text",
  [
    "https://host:8080/a@b",
    "gs://bucket/runs/a:b@c",
    "localhost:1234",
    "a=b key='x'",
  ],
)
def test_what_is_left_as_it_is(text):
  redaction.refuse("--workdir", text)
  assert redaction.redact(text) == text


def test_the_secrets_of_the_environment_are_hidden(monkeypatch):
  monkeypatch.setenv("MY_TOKEN", SECRET)
  monkeypatch.setenv("MY_REGION", "us-west4-a")
  assert redaction.redact(f"{SECRET} in us-west4-a") == "… in us-west4-a"


def test_a_config_holds_none():
  with pytest.raises(ConfigError, match=r"config.data.path=s3://me:…@host"):
    small.options(data__path=URL)


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_message_shows_any(debug, capsys, monkeypatch, tmp_path):
  """Neither a line of the log, nor that of an error, nor its traceback."""
  monkeypatch.setenv("MY_TOKEN", SECRET)

  def work(options):
    del options
    logging.getLogger("hdc_jax").warning("reading %s", URL)
    raise RuntimeError(f"{URL}: no answer to {SECRET}")

  argv = [*debug, f"--note=MY_TOKEN={SECRET}"]
  options = argparse.Namespace(debug=bool(debug), workdir=str(tmp_path))
  assert commands.run(lambda _: options, work, argv) == BUG
  shown = capsys.readouterr().err
  assert "reading s3://me:…@host" in shown
  assert "no answer to …" in shown
  (path,) = tmp_path.glob("error-*.log")
  written = path.read_text()
  assert "MY_TOKEN=…" in written
  assert "RuntimeError" in written
  assert SECRET not in shown + written


def test_a_command_refuses_them(capsys):
  def parse(argv):
    raise AssertionError(argv)

  code = commands.run(parse, print, ["--source", URL])
  assert code == ConfigError.exit_code
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: argument=s3://me:…@host/videos: others can")
