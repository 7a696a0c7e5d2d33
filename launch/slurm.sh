# The end of each job script of `launch.slurm`, which sets above it:
#
# words    the command that every task runs
# tasks    their number
# options  options of srun
# telling  exit codes that give the reason for the end of a run, in this order
# again    those of them after which the run goes on; the first: it was stopped
# hung     the code for a task that is lost
# retries  how often

# A task prints the code of its command, as srun returns the largest code of all
# tasks, which need not be the one that gives the reason. Slurm sends SIGTERM to
# every process of a task, so this shell only waits.
# shellcheck disable=SC2016
task='trap : TERM
"$@"
code=$?
echo "launch: task $SLURM_PROCID ended with $code"
exit "$code"'

ended="$(mktemp)"
trap 'rm -f "$ended"' EXIT
start="${SLURM_RESTART_COUNT:-0}"
echo "launch: start $start on $SLURM_JOB_NODELIST"
srun "${options[@]}" bash -c "$task" task "${words[@]}" | tee "$ended"
code="${PIPESTATUS[0]}"

said='launch: task [0-9]* ended with'
mapfile -t codes < <(
  grep --only-matching "$said [0-9]*" "$ended" | sed 's/.* //'
)
if ((code == 0 && ${#codes[@]} < tasks)); then
  # srun ends with 0 if a node fails.
  code="$hung"
fi
if ((code != 0)); then
  for known in "${telling[@]}"; do
    if [[ " ${codes[*]} " == *" $known "* ]]; then
      code="$known"
      break
    fi
  done
fi
echo "launch: start $start ended with $code"

if [[ " ${again[*]} " == *" $code "* ]]; then
  if ((start >= retries)); then
    echo "launch: that was once too often (--retries=$retries)"
    exit "${again[0]}"
  fi
  # Slurm ends this script and queues the job again, with the same number.
  scontrol requeue "$SLURM_JOB_ID" && exit "$code"
  echo "launch: Slurm does not queue it again: run the launcher again to go on"
fi
exit "$code"
