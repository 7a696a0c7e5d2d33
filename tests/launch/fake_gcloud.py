"""Stands for gcloud: says what it is told to, and writes down what it is asked.

The directory in FAKE_GCLOUD has `answers.json`: for each kind of command what
to say to the first, the second and so on; the last is said ever after. A call
is a line of `calls.jsonl`.
"""

import json
import os
import sys
import time

KINDS = (
  "yaml(state)",
  "describe",
  "create",
  "delete",
  "scp",
  "host.sh setup",
  "host.sh run",
)


def main(words):
  folder = os.environ["FAKE_GCLOUD"]
  kind = next(k for k in KINDS if k in words[3] or k in " ".join(words[3:]))
  with open(f"{folder}/answers.json") as file:
    answers = json.load(file).get(kind, [{}])
  with open(f"{folder}/calls.jsonl", "a+") as file:
    file.seek(0)
    before = [json.loads(line)["kind"] for line in file].count(kind)
    file.write(json.dumps({"kind": kind, "words": words}) + "\n")
  answer = answers[min(before, len(answers) - 1)]
  print(answer.get("out", ""), flush=True)
  print(answer.get("err", ""), file=sys.stderr)
  time.sleep(answer.get("seconds", 0))
  return answer.get("code", 0)


sys.exit(main(sys.argv[1:]))
