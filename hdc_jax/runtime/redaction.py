"""Secrets: how they are recognised, refused and kept out of what is written.

A command line, a config and what is made of them can be read by others: in the
list of processes, in manifests, logs, checkpoints and reports. So a secret is
refused there, and in messages it is replaced. The libraries for buckets take
secrets from files and from the environment of the hosts.
"""

import os
import re
from collections.abc import Sequence

from hdc_jax.errors import ConfigError

HIDDEN = "…"
_REMEDY = (
  "give the service account of the hosts the rights, or put it into a file on "
  "them and name that"
)
# Words in the name of a variable that is secret. PWD is a directory by itself.
_WORDS = (
  "AUTH|APIKEYS?|COOKIE|CREDENTIALS?|CREDS?|KEYS?|PASS|PASSPHRASE|PASSWD|"
  "PASSWORDS?|PAT|SECRETS?|TOKENS?"
)
_NAME = re.compile(
  rf"(?:.*_)?(?:{_WORDS}|\w*PASSWORD|\w*SECRET|\w*APIKEY)(?:_.*)?|.+_PWD"
)
# What names a file with the secret is none.
_REFERENCE = re.compile(r".+_(?:FILE|PATH|DIR|FILENAME)")
# The beginnings of values that are secret whatever their name is.
_VALUE = re.compile(
  r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bhf_\w{30,}"
  r"|\bAIza[\w-]{35}|\bxox[abp]-[\w-]{10,}|\bsk-[\w-]{20,}"
  r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*"
)
_URL = re.compile(r"(?P<before>\b[\w+.-]+://[^/\s:@'\"]*):[^/\s@]+(?=@)")
# In the query of a URL, on a command line, or in a list of variables.
_ASSIGNED = re.compile(
  r"(?P<before>\b(?P<name>[A-Za-z][\w-]*)=)(?!\w[\w-]*=[^\s=&])[^\s&'\",;]+"
)
_LEAST_LENGTH = 8  # characters of a value that is looked for in texts


def is_secret(name: str) -> bool:
  """Whether a variable of this name is taken for a secret.

  >>> [is_secret(n) for n in ("DB_PASSWD", "HF_TOKEN", "PRIVATE_KEY")]
  [True, True, True]
  >>> [is_secret(n) for n in ("TOKENIZERS_PARALLELISM", "PWD", "KEY_FILE")]
  [False, False, False]

  Args:
    name: Name of an environment variable.
  """
  name = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name).upper()
  return bool(_NAME.fullmatch(name)) and not _REFERENCE.fullmatch(name)


def refuse(flag: str, value: str, name: str = "") -> None:
  """Raises an error if a value that others can read holds a secret.

  Args:
    flag: What the value was given by, for the message.
    value: The value.
    name: Name of the environment variable that gets it, if one does.

  Raises:
    ConfigError: Naming the flag and the remedy, and not the value.
  """
  if name and is_secret(name):
    raise ConfigError(
      f"{flag}={name}={HIDDEN}: others can read it in manifests and logs; "
      f"{_REMEDY}, as in {name}_FILE"
    )
  if _URL.search(value) or _VALUE.search(value):
    raise ConfigError(
      f"{flag}={name and f'{name}='}{redact(value)}: others can read the "
      f"password in it, or the key; {_REMEDY}"
    )


def refuse_arguments(argv: Sequence[str]) -> None:
  """Raises an error if an argument of a command holds a secret.

  Args:
    argv: The arguments.

  Raises:
    ConfigError: Naming the argument.
  """
  for word in argv:
    flag, _, value = word.partition("=")
    refuse(flag if value else "argument", value or word)


def redact(text: str) -> str:
  """Replaces the secrets in a text.

  Passwords in URLs, values that are assigned to a secret name, keys that can be
  recognised, and the values of the secret variables of this process.

  >>> redact("--env=A_TOKEN=b s3://me:pass@host/a?part=1&token=abc=")
  '--env=A_TOKEN=… s3://me:…@host/a?part=1&token=…'

  Args:
    text: A message, or a whole log.
  """
  for name, value in os.environ.items():
    if len(value) >= _LEAST_LENGTH and value in text and is_secret(name):
      text = text.replace(value, HIDDEN)
  text = _URL.sub(rf"\g<before>:{HIDDEN}", text)
  text = _VALUE.sub(HIDDEN, text)
  return _ASSIGNED.sub(_redact_assigned, text)


def _redact_assigned(match: re.Match[str]) -> str:
  """NAME=VALUE without the value, if the name is that of a secret."""
  if not is_secret(match["name"]):
    return match[0]
  return f"{match['before']}{HIDDEN}"
