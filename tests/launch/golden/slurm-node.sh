#!/usr/bin/env bash
#SBATCH --job-name=k400-hdc
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --partition=gpu
#SBATCH --exclusive
telling=(2 3 4 9 5 6 8 1 134 137 143)
again=(5 6 8 134 137 143)
hung=6
retries=100
tasks=2
options=(--kill-on-bad-exit=0 --wait=60 --cpus-per-task=64)
words=(env JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7 'A=b c' /shared/venv/bin/python -m hdc_jax.main --config=configs/r3d18.py --config.data.path=/shared/k400 --workdir=/shared/runs/first --coordinator=auto)
