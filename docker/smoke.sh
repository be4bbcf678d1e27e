#!/usr/bin/env bash
# Brings the compose stack up for real and runs a job through it: `docker/smoke.sh`.
# Two workers on the Redis backend; checkpoints are downloaded and their checksums verified, and the models sampled from. Everything
# is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
docker version --format 'Docker {{.Server.Version}}' || { echo 'No Docker engine answers; start one first.' >&2; exit 1; }

export COMPOSE_PROJECT_NAME=polymode-smoke
export POSTGRES_PASSWORD=smoke-postgres POLYMODE_API_KEY=pmk-smoke-test-key-0001 POLYMODE_PORT=${POLYMODE_PORT:-18000} POLYMODE_THREADS=1
trap 'docker compose logs --no-color >"${SMOKE_LOG:-/dev/null}" 2>&1 || true; docker compose down --volumes --timeout 5' EXIT

docker compose build migrate
docker compose up -d --wait --scale worker=2 postgres redis api worker
node apps/cli/dist/smoke-job.js "http://127.0.0.1:$POLYMODE_PORT/v1" "$POLYMODE_API_KEY"
docker compose exec -T worker id -u | grep -qv '^0$' && echo 'Containers do not run as root.'
