#!/usr/bin/env bash
# What a GPU does for the two engines, within eight minutes and without a network: tests/gpu/run.sh [--long] [--out DIR].
# It writes gpu.json and gpu.md into DIR (default: gpu). Without a GPU it runs at toy size on the CPU, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_DO_NOT_TRACK=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" tests/gpu/measure.py "$@"
