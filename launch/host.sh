#!/usr/bin/env bash
# Prepares one host of a TPU slice, and runs a command there.
#
#   bash host.sh setup        installs the code of HDC_CODE; 1 if that fails
#   bash host.sh run          becomes the command in HDC_WORDS
#   bash host.sh setup run    both
#
# HDC_CODE   URL@COMMIT of a git repository, or gs://….tar.gz with its files
# HDC_WORDS  the words of the command, each ended by a NUL, in base64: no shell
#            on the way gets to see what is in them
# HDC_HOME   where all goes, by default ~/hdc
set -euo pipefail

home="${HDC_HOME:-$HOME/hdc}"

fetch() {
  case "$HDC_CODE" in
    gs://*)
      gcloud storage cat "$HDC_CODE" | tar --extract --gzip
      ;;
    *)
      git init --quiet
      git fetch --quiet --depth=1 "${HDC_CODE%@*}" "${HDC_CODE##*@}"
      git checkout --quiet FETCH_HEAD
      ;;
  esac
}

# By default it holds half of the memory, which can be less than a dataset. A
# container without sudo has it from its manifest.
grow_shm() {
  if command -v sudo > /dev/null; then
    sudo --non-interactive mount -o remount,size=90% /dev/shm || true
  fi
}

setup() {
  # What tools end with could be taken for an exit code of the run: git's and
  # uv's 2 for that of a wrong config.
  trap 'exit 1' EXIT
  grow_shm
  rm -rf "$home/code" "$home/uv" "$home/venv"
  mkdir -p "$home/code"
  cd "$home/code"
  fetch
  # The Python of a TPU host can be too old; uv brings its own.
  python3 -m pip install --quiet --target="$home/uv" uv
  "$home/uv/bin/uv" venv --quiet --python=3.12 "$home/venv"
  "$home/uv/bin/uv" pip install --quiet --python="$home/venv/bin/python" \
    ".[tpu]"
  trap - EXIT
}

run() {
  local words
  mapfile -d '' -t words < <(base64 --decode <<< "$HDC_WORDS")
  cd "$home/code"
  export PATH="$home/venv/bin:$PATH"
  # In place of this shell, so that signals and the exit code are the command's.
  exec "${words[@]:?no command}"
}

for step in "$@"; do
  "$step"
done
